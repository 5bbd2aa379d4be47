//! A model provider in this process whose answers the test holds back and lets go.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// A provider in OpenAI's format, on a port of its own until the test process ends.
pub struct Provider {
    pub base_url: String,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    held: Mutex<bool>,
    opened: Condvar,
    /// Held before the first byte of an answer instead of behind its first event.
    silent: AtomicBool,
    calls: AtomicU64,
}

const HEAD: &str = r#""id":"c-1","created":1,"model":"sim-1-2026-01-15""#;

impl Provider {
    /// A provider that answers at once, until it is told to hold.
    pub fn start() -> Provider {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let gate = Arc::new(Gate::default());
        let shared = Arc::clone(&gate);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let gate = Arc::clone(&shared);
                // A caller that was killed breaks its connection; that is none of our business.
                std::thread::spawn(move || gate.serve(stream));
            }
        });
        Provider { base_url, gate }
    }

    /// Holds answers from now on: a stream behind its first event, anything else altogether.
    pub fn hold(&self) {
        *self.gate.held.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// Holds answers from now on, and says nothing of a stream either.
    pub fn hold_silently(&self) {
        self.gate.silent.store(true, Ordering::SeqCst);
        self.hold();
    }

    /// Lets all answers go, now and from now on.
    pub fn release(&self) {
        self.gate.silent.store(false, Ordering::SeqCst);
        *self.gate.held.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.gate.opened.notify_all();
    }

    /// How often it was asked.
    pub fn calls(&self) -> u64 {
        self.gate.calls.load(Ordering::SeqCst)
    }
}

impl Gate {
    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut stream = stream;
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or_default();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        self.calls.fetch_add(1, Ordering::SeqCst);
        let streams =
            serde_json::from_slice::<serde_json::Value>(&body).is_ok_and(|body| body["stream"] == true);
        if streams { self.stream(&mut stream) } else { self.whole(&mut stream) }
    }

    fn whole(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        self.wait();
        let body = format!(
            r#"{{{HEAD},"object":"chat.completion","choices":[{{"index":0,"finish_reason":"stop","message":{{"role":"assistant","content":"one two"}}}}],"usage":{{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}}}"#
        );
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
        write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len())
    }

    fn stream(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        if self.silent.load(Ordering::SeqCst) {
            self.wait();
        }
        let chunk = |delta: &str, finish: &str| {
            format!(
                r#"data: {{{HEAD},"object":"chat.completion.chunk","choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]}}"#
            )
        };
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        write!(stream, "{head}{}\n\n", chunk(r#"{"role":"assistant","content":"one"}"#, "null"))?;
        self.wait();
        write!(stream, "{}\n\n", chunk(r#"{"content":" two"}"#, "null"))?;
        write!(stream, "{}\n\ndata: [DONE]\n\n", chunk("{}", r#""stop""#))
    }

    fn wait(&self) {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.opened.wait_while(held, |held| *held));
    }
}
