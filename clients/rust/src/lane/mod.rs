// SPDX-License-Identifier: Apache-2.0
//! The fast lane: an escrow for many requests, which a committee answers off the chain.
//!
//! | module | content |
//! |---|---|
//! | [`state`] | lanes, committees and epochs, as the chain has them |
//! | [`calls`] | the transactions of a requester |
//! | [`timing`] | the expiry of a request |
//! | [`certificate`] | the check of an answer against the committee that the chain names |
//! | [`ask`] | a request from its signature to its certificate |
//! | [`choice`] | the lane of an account that can take a request |
//!
//! A *soft* answer comes first: a node has computed it. A *certified* one has the signatures of a
//! quorum. This library checks these itself, and that the text is the one that they cover.

pub mod ask;
pub mod calls;
pub mod certificate;
pub mod choice;
pub mod state;
pub mod timing;

pub use starling_lane_primitives::{messages::Ask, Form, Terms};
pub use starling_primitives::api::lanes::{CommitteeView, Epoch, LaneId, LaneView, MemberView};
