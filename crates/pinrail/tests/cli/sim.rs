//! The simulated provider as a process of its own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use super::{NOBODY, command};

#[test]
fn it_answers_until_it_is_told_to_stop_and_then_ends_well() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut sim = command(NOBODY, &["sim", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let base_url = BufReader::new(sim.stdout.take().unwrap()).lines().next().unwrap().unwrap();
        let address = base_url.strip_prefix("http://").unwrap().strip_suffix("/v1").unwrap();
        // Clients keep their connections for the next request; that must not keep it.
        let mut kept = TcpStream::connect(address).unwrap();
        kept.write_all(b"GET /v1/models HTTP/1.1\r\nhost: sim\r\nauthorization: Bearer any\r\n\r\n").unwrap();
        let mut begin = [0; 15];
        kept.read_exact(&mut begin).unwrap();
        assert_eq!(&begin, b"HTTP/1.1 200 OK");

        kill_process(Pid::from_child(&sim), signal).unwrap();
        assert_eq!(sim.wait().unwrap().code(), Some(0), "{signal:?}");
    }
}
