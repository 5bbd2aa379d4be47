//! `POST /api/v1/approvals/{approval}/deny`: keeps the call from being made.

use crate::call::Call;
use crate::reply::Answer;

pub async fn deny(call: Call) -> Answer {
    super::decide(call, false).await
}
