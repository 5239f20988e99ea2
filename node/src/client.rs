// SPDX-License-Identifier: Apache-2.0
//! The client, the backend and the transaction pool of this node, by their short names.

use sc_executor::WasmExecutor;
use starling_runtime::{apis::RuntimeApi, opaque::Block};

/// The host functions of the runtime.
pub(crate) type HostFunctions = sp_io::SubstrateHostFunctions;
/// The client.
pub(crate) type FullClient =
    sc_service::TFullClient<Block, RuntimeApi, WasmExecutor<HostFunctions>>;
/// The database.
pub(crate) type FullBackend = sc_service::TFullBackend<Block>;
/// The transaction pool.
pub(crate) type FullPool = sc_transaction_pool::TransactionPoolHandle<Block, FullClient>;
