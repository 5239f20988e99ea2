// SPDX-License-Identifier: Apache-2.0

//! The services of the node for the off-chain worker of the runtime: time and randomness. It has no
//! access to the network; HTTP hooks belong to the agent, where they have limits.

use std::{
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sp_core::{
    offchain::{
        Externalities, HttpError, HttpRequestId, HttpRequestStatus, OpaqueNetworkState, Timestamp,
    },
    OpaquePeerId,
};

/// Longest sleep of the off-chain worker.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// Externalities without a network.
pub struct Offline {
    /// True if this node authors blocks.
    pub is_validator: bool,
}

impl Externalities for Offline {
    fn is_validator(&self) -> bool {
        self.is_validator
    }

    fn network_state(&self) -> Result<OpaqueNetworkState, ()> {
        Err(())
    }

    fn timestamp(&mut self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_unix_millis(since.as_millis().try_into().unwrap_or(u64::MAX))
    }

    fn sleep_until(&mut self, deadline: Timestamp) {
        let now = self.timestamp();
        thread::sleep(Duration::from_millis(deadline.diff(&now).millis()).min(LONGEST_SLEEP));
    }

    fn random_seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        if let Err(error) = getrandom::fill(&mut seed) {
            log::error!(target: crate::LOG_TARGET, "the system gives no randomness: {error}");
        }
        seed
    }

    fn http_request_start(&mut self, _: &str, _: &str, _: &[u8]) -> Result<HttpRequestId, ()> {
        Err(())
    }

    fn http_request_add_header(&mut self, _: HttpRequestId, _: &str, _: &str) -> Result<(), ()> {
        Err(())
    }

    fn http_request_write_body(
        &mut self,
        _: HttpRequestId,
        _: &[u8],
        _: Option<Timestamp>,
    ) -> Result<(), HttpError> {
        Err(HttpError::Invalid)
    }

    fn http_response_wait(
        &mut self,
        ids: &[HttpRequestId],
        _: Option<Timestamp>,
    ) -> Vec<HttpRequestStatus> {
        ids.iter().map(|_| HttpRequestStatus::Invalid).collect()
    }

    fn http_response_headers(&mut self, _: HttpRequestId) -> Vec<(Vec<u8>, Vec<u8>)> {
        vec![]
    }

    fn http_response_read_body(
        &mut self,
        _: HttpRequestId,
        _: &mut [u8],
        _: Option<Timestamp>,
    ) -> Result<usize, HttpError> {
        Err(HttpError::Invalid)
    }

    fn set_authorized_nodes(&mut self, _: Vec<OpaquePeerId>, _: bool) {}
}
