//! What all requests about state share: in whose name something is written, through whose eyes it is read.

use pinrail_domain::id::{DeploymentId, RunId};
use serde::{Deserialize, Serialize};

/// In whose name something is written. Requests carry these three fields among their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenBy {
    /// The run that concluded it, or was told it; else the header `x-pinrail-run`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// An open data job. Needs the scope `deploy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    /// Whether it is a fact from outside, which lies on the ground. Needs the scope `deploy` where no run was told it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub external: bool,
}

/// Through whose eyes something is read, and as of when: `?run=&deployment=&as_of=`. At most one of the first two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadBy {
    /// The run that reads; else the header `x-pinrail-run`. It sees its own deployment's writes, and the read is noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Look as the runs of this deployment do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    /// `now`, a `moment` from an answer, `state:N`, `ledger:N`, an RFC 3339 time, or Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
}

/// Moments as `STATE.LEDGER`: `#[serde(with = "moment")]`.
pub mod moment {
    use std::borrow::Cow;

    use pinrail_domain::state::Moment;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(moment: &Moment, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(moment)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Moment, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
    /// The same where there may be none.
    pub mod option {
        use std::borrow::Cow;

        use pinrail_domain::state::Moment;
        use serde::{Deserialize, Deserializer, Serializer};

        pub fn serialize<S: Serializer>(moment: &Option<Moment>, serializer: S) -> Result<S::Ok, S::Error> {
            match moment {
                Some(moment) => serializer.collect_str(moment),
                None => serializer.serialize_none(),
            }
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Moment>, D::Error> {
            let text = Option::<Cow<'de, str>>::deserialize(deserializer)?;
            text.map(|text| text.parse()).transpose().map_err(serde::de::Error::custom)
        }
    }
}
