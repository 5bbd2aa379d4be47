//! Answers that come as lines and may be very long.

use std::io::{BufRead as _, BufReader};
use std::time::Duration;

use serde_json::value::RawValue;
use ureq::http::Method;

use super::{Client, ClientError};

/// How long a download may take: millions of records are read for some.
const DOWNLOAD: Duration = Duration::from_secs(3_600);

impl Client {
    /// Reads an answer line by line, each with its line end, as it came.
    pub fn download<E: From<ClientError>>(
        &self,
        path: &str,
        mut visit: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let unreachable = |source: ureq::Error| ClientError::Unreachable {
            base: self.base.clone(),
            source: Box::new(source),
        };
        let (uri, request) = self.request(&Method::GET, path)?;
        let bad = |_| ClientError::BadAddress { url: uri.clone(), why: "it is not a URL" };
        let request = request.body(()).map_err(bad)?;
        let request = self.agent.configure_request(request).timeout_global(Some(DOWNLOAD)).build();
        let mut response = self.agent.run(request).map_err(unreachable)?;
        if !response.status().is_success() {
            return Ok(self.read::<Box<RawValue>>(response).map(drop)?);
        }
        let mut lines = BufReader::new(response.body_mut().as_reader());
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).map_err(|error| unreachable(error.into()))? > 0 {
            visit(&line)?;
            line.clear();
        }
        Ok(())
    }
}
