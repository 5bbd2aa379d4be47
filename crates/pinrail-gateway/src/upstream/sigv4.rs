//! Signs requests to Amazon Bedrock (Signature Version 4).

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use bytes::Bytes;
use http::Request;
use http::header::CONTENT_TYPE;
use http_body_util::Full;
use pinrail_domain::time::Timestamp;

/// Signs with one access key, for one region.
pub struct Signer {
    credentials: Credentials,
    region: String,
}

/// Says that a request can't be signed.
#[derive(Debug, thiserror::Error)]
#[error("the request cannot be signed")]
pub struct Unsignable(#[source] Box<dyn std::error::Error + Send + Sync>);

/// The service as signatures name it.
const SERVICE: &str = "bedrock";

impl Signer {
    pub fn new(access_key: &str, secret_key: &str, session_token: Option<String>, region: String) -> Signer {
        Signer {
            credentials: Credentials::new(access_key, secret_key, session_token, None, "pinrail"),
            region,
        }
    }

    /// Adds the signature's headers. What else is signed: method, address, host, content type and `body`.
    pub fn sign(
        &self,
        request: &mut Request<Full<Bytes>>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), Unsignable> {
        let unsignable = |error: Box<dyn std::error::Error + Send + Sync>| Unsignable(error);
        let identity = self.credentials.clone().into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(SERVICE)
            .time(SystemTime::UNIX_EPOCH + Duration::from_millis(now.0))
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| unsignable(error.into()))?
            .into();
        // Headers that are not signed may be changed on the way without harm.
        let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let headers = kind.map(|kind| (CONTENT_TYPE.as_str(), kind)).into_iter();
        let signable = SignableRequest::new(
            request.method().as_str(),
            request.uri().to_string(),
            headers,
            SignableBody::Bytes(body),
        );
        let signable = signable.map_err(|error| unsignable(error.into()))?;
        let signed = sign(signable, &params).map_err(|error| unsignable(error.into()))?;
        signed.into_parts().0.apply_to_request_http1x(request);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of AWS's published test suite, and its time: 2015-08-30T12:36:00Z.
    const ACCESS_KEY: &str = "AKIDEXAMPLE";
    const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    const NOW: Timestamp = Timestamp(1_440_938_160_000);

    fn signed(uri: &str, body: &'static [u8], token: Option<&str>) -> http::HeaderMap {
        let mut request = Request::post(uri).header(CONTENT_TYPE, "application/json");
        request = request.header("user-agent", "x").header("traceparent", "y");
        let mut request = request.body(Full::new(Bytes::from_static(body))).unwrap();
        let signer = Signer::new(ACCESS_KEY, SECRET_KEY, token.map(str::to_owned), "us-east-1".into());
        signer.sign(&mut request, body, NOW).unwrap();
        request.into_parts().0.headers
    }

    /// The signature by the text of the specification: everything is hashed here from its parts.
    fn by_hand(path: &str, body: &[u8], token: Option<&str>) -> String {
        use ring::{digest, hmac};
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let sha = |bytes: &[u8]| hex(digest::digest(&digest::SHA256, bytes).as_ref());
        let mac = |key: &[u8], text: &str| {
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
        };
        let (lines, names) = match token {
            Some(token) => (format!("x-amz-security-token:{token}\n"), ";x-amz-security-token"),
            None => (String::new(), ""),
        };
        let names = format!("content-type;host;x-amz-date{names}");
        let canonical = format!(
            "POST\n{path}\n\ncontent-type:application/json\nhost:h.example\nx-amz-date:20150830T123600Z\n{lines}\n{names}\n{}",
            sha(body)
        );
        let scope = "20150830/us-east-1/bedrock/aws4_request";
        let text = format!("AWS4-HMAC-SHA256\n20150830T123600Z\n{scope}\n{}", sha(canonical.as_bytes()));
        let key = mac(format!("AWS4{SECRET_KEY}").as_bytes(), "20150830");
        let key = mac(&mac(&mac(&key, "us-east-1"), "bedrock"), "aws4_request");
        format!(
            "AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders={names}, Signature={}",
            hex(&mac(&key, &text))
        )
    }

    #[test]
    fn a_signature_is_that_of_the_specification() {
        let check = |path: &str, canonical: &str, token: Option<&str>| {
            let headers = signed(&format!("https://h.example{path}"), b"{}", token);
            assert_eq!(
                headers["authorization"].to_str().unwrap(),
                by_hand(canonical, b"{}", token),
                "{path}"
            );
            assert_eq!(headers["x-amz-date"], "20150830T123600Z");
            let sent = headers.get("x-amz-security-token").map(|value| value.to_str().unwrap());
            assert_eq!(sent, token);
        };
        check("/model/m/invoke", "/model/m/invoke", None);
        // What is encoded once on the way is encoded twice in the signature.
        check("/model/a.b-v1%3A0/invoke", "/model/a.b-v1%253A0/invoke", None);
        check("/model/a%2Fb/invoke", "/model/a%252Fb/invoke", Some("token"));
    }
}
