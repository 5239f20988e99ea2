// SPDX-License-Identifier: Apache-2.0
//! The method with which anybody gets the trace of an answer.

use codec::Encode;
use jsonrpsee::{core::RegisterMethodError, types::ErrorObjectOwned, RpcModule};
use sp_core::Bytes;
use starling_sketch::shown::Ask;
use starling_worker::AccountId;

use crate::traces::{Desk, NoTrace};

/// The code of a trace that nobody shows.
const NOT_SHOWN: i32 = -32063;
/// The code of a search at a busy node.
const BUSY: i32 = -32062;

/// The methods.
///
/// # Errors
/// When two methods have one name.
pub(super) fn methods(desk: Desk) -> Result<RpcModule<Desk>, RegisterMethodError> {
    let mut module = RpcModule::new(desk);
    module.register_async_method("starling_trace", |params, desk, _| async move {
        let (round, agent): (u64, AccountId) = params.parse()?;
        let agent = agent.into();
        match desk.find(Ask { round, agent }).await {
            Ok(shown) => Ok(Bytes(shown.encode())),
            Err(reason) => Err(error(&reason)),
        }
    })?;
    Ok(module)
}

fn error(reason: &NoTrace) -> ErrorObjectOwned {
    let (code, text) = match reason {
        NoTrace::NotShown => (
            NOT_SHOWN,
            "no node shows this trace: the answer has none, its round is not over in a final block, \
             its audit window is over, or its node is away",
        ),
        NoTrace::Busy => (BUSY, "the node searches for other traces: ask again"),
    };
    ErrorObjectOwned::owned(code, text, None::<()>)
}
