// SPDX-License-Identifier: Apache-2.0
//! A value among the data for the inherents of one block.

use async_trait::async_trait;
use codec::Encode;
use sp_inherents::{Error, InherentData, InherentDataProvider, InherentIdentifier};

/// A value and its place, or nothing for that place.
pub struct Given<T> {
    pub(crate) place: InherentIdentifier,
    pub(crate) value: Option<T>,
}

#[async_trait]
impl<T: Encode + Send + Sync> InherentDataProvider for Given<T> {
    async fn provide_inherent_data(&self, data: &mut InherentData) -> Result<(), Error> {
        match &self.value {
            Some(value) => data.put_data(self.place, value),
            None => Ok(()),
        }
    }

    async fn try_handle_error(
        &self,
        _: &InherentIdentifier,
        _: &[u8],
    ) -> Option<Result<(), Error>> {
        None
    }
}
