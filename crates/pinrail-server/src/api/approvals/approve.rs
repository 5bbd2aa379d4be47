//! `POST /api/v1/approvals/{approval}/approve`: lets the call be made, once.

use crate::call::Call;
use crate::reply::Answer;

pub async fn approve(call: Call) -> Answer {
    super::decide(call, true).await
}
