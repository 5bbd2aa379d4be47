//! Bodies that nobody wants, since their request is refused.
//!
//! A connection that is closed while its client still sends is reset, and the refusal in it is lost: the client sees
//! a broken pipe instead of a 401. So what is left of a small body is read first.

use std::time::Duration;

use http_body::Body;
use http_body_util::{BodyExt as _, Limited};

/// What a client has usually sent off before it looks for an answer: the sockets' buffers.
pub const BYTES_MAX: usize = 256 << 10;
/// A client that isn't sending gets its refusal after this, and may miss it.
const WAIT: Duration = Duration::from_secs(1);

/// Reads a body to its end and forgets it, within bounds.
pub async fn discard<B>(body: B)
where
    B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    let read = async {
        let mut body = std::pin::pin!(Limited::new(body, BYTES_MAX));
        while let Some(Ok(_)) = body.frame().await {}
    };
    // Whether it ended, broke off or took too long: the refusal goes out.
    let _ = tokio::time::timeout(WAIT, read).await;
}
