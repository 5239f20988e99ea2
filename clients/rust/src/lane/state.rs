// SPDX-License-Identifier: Apache-2.0
//! Lanes, committees and epochs, as the chain has them.

use sp_core::crypto::AccountId32;
use starling_primitives::api::lanes::{
    CommitteeView, Epoch, EpochView, LaneId, LaneView, PendingView, RulesView,
};

use crate::{At, Error, Result};

/// The runtime API of lanes.
const LANES_API: &str = "LanesApi";

impl At {
    /// Whether the chain's runtime has lanes.
    pub fn has_lanes(&self) -> bool {
        self.has_api(LANES_API)
    }

    /// Fails if the chain's runtime has no lanes.
    pub fn require_lanes(&self) -> Result<()> {
        match self.has_lanes() {
            true => Ok(()),
            false => Err(Error::Usage(
                "this chain has no fast lane, because its runtime has no pallet `Lanes`; ask with \
                 `starling ask`"
                    .into(),
            )),
        }
    }

    /// The present epoch of lanes.
    pub async fn lane_epoch(&self) -> Result<EpochView> {
        self.runtime_api(LANES_API, "epoch", ()).await
    }

    /// The rules of lanes.
    pub async fn lane_rules(&self) -> Result<RulesView<AccountId32>> {
        self.runtime_api(LANES_API, "rules", ()).await
    }

    /// A lane.
    pub async fn lane(&self, id: LaneId) -> Result<LaneView<AccountId32>> {
        let lane: Option<LaneView<AccountId32>> = self.runtime_api(LANES_API, "lane", id).await?;
        lane.ok_or_else(|| {
            Error::NotFound(format!(
                "there is no lane {id}: it was never opened, or its rest was reclaimed; see \
                 `starling lane list`"
            ))
        })
    }

    /// The lanes of a requester, the oldest first.
    pub async fn lanes_of(&self, requester: &AccountId32) -> Result<Vec<LaneView<AccountId32>>> {
        let lanes = self.runtime_api(LANES_API, "lanes_of", requester).await;
        let mut lanes: Vec<LaneView<AccountId32>> = lanes?;
        lanes.sort_by_key(|lane| lane.id);
        Ok(lanes)
    }

    /// The committee of a lane in an epoch, and the way in which it chooses. `None` if too few
    /// agents have volunteered, or if the epoch is too far away.
    pub async fn committee(
        &self,
        lane: LaneId,
        epoch: Epoch,
    ) -> Result<Option<CommitteeView<AccountId32>>> {
        self.runtime_api(LANES_API, "committee", (lane, epoch))
            .await
    }

    /// The settlements of a lane that are not paid yet.
    pub async fn pending_settlements(&self, lane: LaneId) -> Result<Vec<PendingView>> {
        self.runtime_api(LANES_API, "pending", lane).await
    }
}
