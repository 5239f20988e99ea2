// SPDX-License-Identifier: Apache-2.0
//! The methods with which a requester asks a lane.

use std::pin::pin;

use codec::DecodeAll;
use futures::future::{select, Either};
use jsonrpsee::{
    core::RegisterMethodError, types::ErrorObjectOwned, PendingSubscriptionSink, RpcModule,
    SubscriptionMessage,
};
use sp_core::{Bytes, H256};
use starling_lane_primitives::messages::Ask;
use starling_worker::lanes::{
    progress::Progress,
    service::{AskError, Status},
    Lanes,
};
use tokio::sync::watch;

/// The code of an ask that breaks a rule.
const REFUSED: i32 = -32060;
/// The code of an ask at a node that has no part in its lane.
const NOT_HERE: i32 = -32061;
/// The code of an ask at a busy node.
const BUSY: i32 = -32062;

/// The methods.
///
/// # Errors
/// When two methods have one name.
pub(super) fn methods(lanes: Lanes) -> Result<RpcModule<Lanes>, RegisterMethodError> {
    let mut module = RpcModule::new(lanes);
    module.register_async_method("lane_ask", |params, lanes, _| async move {
        let (ask, signature): (Bytes, Bytes) = params.parse()?;
        let (ask, signature) = read(&ask, &signature)?;
        let asked = lanes.ask(ask, signature).await;
        asked.map(H256).map_err(|reason| error(&reason))
    })?;
    module.register_async_method("lane_status", |params, lanes, _| async move {
        let lane: u64 = params.one()?;
        let status: Result<Status, AskError> = lanes.status(lane).await;
        status.map_err(|reason| error(&reason))
    })?;
    module.register_method("lane_progress", |params, lanes, _| {
        let id: H256 = params.one()?;
        let shown = lanes.progress(&id.0);
        Ok::<Option<Progress>, ErrorObjectOwned>(shown.map(|shown| shown.borrow().clone()))
    })?;
    module.register_subscription(
        "lane_subscribeProgress",
        "lane_progressUpdate",
        "lane_unsubscribeProgress",
        |params, pending, lanes, _| async move {
            match params.one::<H256>() {
                Ok(id) => match lanes.progress(&id.0) {
                    Some(shown) => follow(pending, shown).await,
                    None => pending.reject(unknown()).await,
                },
                Err(error) => pending.reject(error).await,
            }
        },
    )?;
    Ok(module)
}

fn read(ask: &[u8], signature: &[u8]) -> Result<(Ask, [u8; 64]), ErrorObjectOwned> {
    let ask = Ask::decode_all(&mut &*ask)
        .map_err(|error| refused(&format!("the ask cannot be decoded: {error}")))?;
    let signature = signature
        .try_into()
        .map_err(|_| refused("the signature has not 64 bytes"))?;
    Ok((ask, signature))
}

fn refused(reason: &str) -> ErrorObjectOwned {
    error(&AskError::Refused(reason.into()))
}

fn unknown() -> ErrorObjectOwned {
    refused("this node does not know the request: `lane_ask` returns its id")
}

fn error(reason: &AskError) -> ErrorObjectOwned {
    let code = match reason {
        AskError::Refused(_) => REFUSED,
        AskError::NotHere => NOT_HERE,
        AskError::Busy => BUSY,
    };
    ErrorObjectOwned::owned(code, reason.to_string(), None::<()>)
}

/// Sends the present progress and each change, until the last one.
async fn follow(pending: PendingSubscriptionSink, mut shown: watch::Receiver<Progress>) {
    // If this fails, the subscriber has left.
    let Ok(sink) = pending.accept().await else {
        return;
    };
    loop {
        let progress = shown.borrow_and_update().clone();
        let Ok(message) = SubscriptionMessage::from_json(&progress) else {
            return;
        };
        if sink.send(message).await.is_err() || progress.is_final() {
            return;
        }
        let (changed, closed) = (pin!(shown.changed()), pin!(sink.closed()));
        match select(changed, closed).await {
            Either::Left((Ok(()), _)) => {},
            Either::Left((Err(_), _)) | Either::Right(_) => return,
        }
    }
}
