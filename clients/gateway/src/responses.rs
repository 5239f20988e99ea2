// SPDX-License-Identifier: Apache-2.0
//! The object `response` of `POST /v1/responses` and `GET /v1/responses/{id}`.

use serde_json::{json, Value};

use crate::{at, failure::Failure, usage::Usage};

/// A response.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// The id, see [`crate::completion::id`].
    pub id: String,
    /// The time of the request, in seconds since 1970.
    pub created: u64,
    /// The name of the model in the request.
    pub model: String,
    /// The id of the response that the conversation went on from.
    pub previous: Option<String>,
    /// Whether the request asked not to wait.
    pub background: bool,
    /// The state.
    pub status: Status,
    /// The numbers of tokens, if they are known.
    pub usage: Option<Usage>,
}

/// The state of a response.
#[derive(Clone, Debug, PartialEq)]
pub enum Status {
    /// The request is in a block, or with a lane.
    Queued,
    /// The round is open, or the request of a lane.
    InProgress,
    /// There is an answer.
    Completed(String),
    /// There is none, and will be none.
    Failed(Failure),
}

impl Status {
    fn name(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Completed(_) => "completed",
            Self::Failed(_) => "failed",
        }
    }
}

/// The object `response`. `details` goes to the field `starling`.
pub fn object(response: &Response, details: Value) -> Value {
    let output = match &response.status {
        Status::Completed(text) => json!([{
            "type": "message",
            "id": format!("msg-{}", response.id),
            "status": "completed",
            "role": "assistant",
            "content": [{ "type": "output_text", "text": text, "annotations": [] }],
        }]),
        _ => json!([]),
    };
    // The codes of OpenAI's own errors are a closed list, of which one fits.
    let error = match &response.status {
        Status::Failed(failure) => {
            let body = failure.body();
            json!({ "code": "server_error", "message": at(&body, "/error/message") })
        },
        _ => Value::Null,
    };
    let mut object = json!({
        "id": response.id,
        "object": "response",
        "created_at": response.created,
        "model": response.model,
        "status": response.status.name(),
        "background": response.background,
        "error": error,
        "incomplete_details": null,
        "instructions": null,
        "metadata": {},
        "output": output,
        "parallel_tool_calls": false,
        "previous_response_id": response.previous,
        "temperature": null,
        "text": { "format": { "type": "text" } },
        "tool_choice": "none",
        "tools": [],
        "top_p": null,
        "truncation": "disabled",
        "starling": details,
    });
    if let (Some(usage), Some(fields)) = (&response.usage, object.as_object_mut()) {
        fields.insert("usage".to_owned(), usage.of_response());
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{failure::RoundFailure, place::Place};

    fn of(status: Status) -> Value {
        let response = Response {
            id: "resp-0abc0102-7".to_owned(),
            created: 5,
            model: "starling".to_owned(),
            previous: Some("resp-0abc0102-6".to_owned()),
            background: true,
            status,
            usage: None,
        };
        object(&response, json!({ "round": 7 }))
    }

    #[test]
    fn a_response_has_its_text_once_it_is_completed() {
        let object = of(Status::Completed("So.".to_owned()));
        assert_eq!(object["status"], "completed");
        assert_eq!(object["output"][0]["content"][0]["text"], "So.");
        assert_eq!(object["previous_response_id"], "resp-0abc0102-6");
        assert!(object.get("usage").is_none());
        assert_eq!(of(Status::Queued)["output"], json!([]));
        assert_eq!(of(Status::InProgress)["status"], "in_progress");
    }

    #[test]
    fn a_failed_response_says_why() {
        let failure = Failure::Round {
            place: Place::Round(7),
            reason: RoundFailure::NoRankings,
            refund: None,
        };
        let object = of(Status::Failed(failure));
        assert_eq!(object["status"], "failed");
        let message = object["error"]["message"].as_str().unwrap();
        assert!(message.contains("nobody ranked"), "{message}");
    }
}
