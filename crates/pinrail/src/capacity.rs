//! How many calls and connections the server takes at once: what `pinrail.toml` says, else what the process's file
//! descriptors carry, up to the defaults of the gateway and the listener.
//!
//! A call takes two descriptors, its client's connection and the provider's; with HTTP/2 fewer. What is configured is
//! obeyed even where the descriptors may not suffice, and said so in the log; a default never promises more than fits.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for everything else: the store's files, listeners, webhooks, MCP servers, connections to providers that
/// are kept for the next call (256 for each provider, of which few are idle together).
const SPARE: u64 = 512;

/// What `[limits]` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    pub calls_max: Option<usize>,
    pub connections_max: Option<usize>,
}

/// What the server is started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    pub calls_max: usize,
    pub connections_max: usize,
    /// The descriptors that what is wanted may take, where there are fewer.
    pub short_of: Option<u64>,
}

impl Wish {
    /// Settles the numbers for a process that may open so many descriptors.
    pub fn settle(self, descriptors: u64) -> Capacity {
        let calls = pinrail_gateway::Limits::default().calls_max;
        let connections = pinrail_server::Limits::default().connections_max;
        let free = usize::try_from(descriptors.saturating_sub(SPARE)).unwrap_or(usize::MAX);
        // Who asks for many calls gets the connections that bring them.
        let calls_wanted = self.calls_max.unwrap_or(calls);
        let connections_wanted = connections.max(calls_wanted.saturating_add(connections - calls));
        let calls_max = self.calls_max.unwrap_or_else(|| calls.min(free / 2).max(1));
        let connections_max = self
            .connections_max
            .unwrap_or_else(|| connections_wanted.min(free.saturating_sub(calls_max)).max(calls_max));
        let wanted = calls_wanted.saturating_add(self.connections_max.unwrap_or(connections_wanted)) as u64;
        let wanted = wanted.saturating_add(SPARE);
        Capacity { calls_max, connections_max, short_of: (wanted > descriptors).then_some(wanted) }
    }
}

/// Raises the number of descriptors that this process and its children may open as far as it may without privileges;
/// returns what that is now.
pub fn raise_descriptors() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current.unwrap_or(u64::MAX);
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum.unwrap_or(u64::MAX),
        // Some systems have a bound of their own below the one that they name.
        Err(_) => current.unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_fit_into_the_descriptors_and_wishes_are_obeyed() {
        let check = |wish: (Option<usize>, Option<usize>),
                     descriptors: u64,
                     want: (usize, usize, Option<u64>)| {
            let wish = Wish { calls_max: wish.0, connections_max: wish.1 };
            let got = wish.settle(descriptors);
            assert_eq!((got.calls_max, got.connections_max, got.short_of), want, "{wish:?} {descriptors}");
        };
        check((None, None), 1 << 20, (16_384, 20_480, None));
        check((None, None), u64::MAX, (16_384, 20_480, None));
        check((None, None), 37_376, (16_384, 20_480, None));
        check((None, None), 20_000, (9_744, 9_744, Some(37_376)));
        check((None, None), 1_024, (256, 256, Some(37_376)));
        check((None, None), 256, (1, 1, Some(37_376)));
        check((Some(100), None), 1 << 20, (100, 20_480, None));
        check((Some(50_000), None), 1 << 20, (50_000, 54_096, None));
        check((Some(50_000), None), 65_536, (50_000, 50_000, Some(104_608)));
        check((Some(100), Some(200)), 1_024, (100, 200, None));
        check((None, Some(300)), 1 << 20, (16_384, 300, None));
    }
}
