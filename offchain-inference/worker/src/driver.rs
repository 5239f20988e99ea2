// SPDX-License-Identifier: Apache-2.0

//! One task that wakes up for best blocks, finality and finished jobs. All work is done on
//! blocking threads, one piece at a time; a backlog of blocks is one wake-up.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{channel::mpsc::UnboundedReceiver, FutureExt, StreamExt};
use parking_lot::Mutex;
use sc_client_api::BlockchainEvents;
use sc_transaction_pool_api::TransactionPool;
use sp_core::H256;
use sp_runtime::traits::Block as BlockT;
use tokio::task::spawn_blocking;

use crate::{
    chain::{At, Chain},
    executor::Finished,
    metrics::Phase,
    Worker, LOG_TARGET,
};

/// Longest wait of the driver until the transaction pool knows a block. Messages sent before that
/// may come a block late; nothing is lost.
const POOL_PATIENCE: Duration = Duration::from_secs(2);

/// Drives a worker, until the node ends.
pub async fn run<Block, Client, Pool>(
    client: Arc<Client>,
    pool: Arc<Pool>,
    chain: Arc<dyn Chain>,
    worker: Worker,
    mut finished: UnboundedReceiver<Finished>,
) where
    Block: BlockT<Hash = H256>,
    Client: BlockchainEvents<Block>,
    Pool: TransactionPool<Block = Block>,
{
    let metrics = worker.metrics().clone();
    let worker = Arc::new(Mutex::new(worker));
    let mut blocks = client.import_notification_stream().fuse();
    let mut finality = client.finality_notification_stream().fuse();
    let mut last: Option<At> = None;
    loop {
        futures::select! {
            block = blocks.next() => {
                if block.is_none() {
                    return;
                }
                while let Some(Some(_)) = blocks.next().now_or_never() {}
                let best = chain.best();
                if last.replace(best) == Some(best) {
                    continue;
                }
                let started = Instant::now();
                pool.ready_at_with_timeout(best.hash, POOL_PATIENCE).await;
                metrics.took(Phase::Pool, started.elapsed());
                on(&worker, Worker::on_block).await;
            },
            block = finality.next() => {
                if block.is_none() {
                    return;
                }
                while let Some(Some(_)) = finality.next().now_or_never() {}
                on(&worker, Worker::on_finalized).await;
            },
            job = finished.next() => {
                let Some(job) = job else { return };
                on(&worker, |worker| worker.on_finished(job)).await;
            },
        }
    }
}

async fn on(worker: &Arc<Mutex<Worker>>, what: impl FnOnce(&mut Worker) + Send + 'static) {
    let worker = worker.clone();
    if let Err(error) = spawn_blocking(move || what(&mut worker.lock())).await {
        log::error!(target: LOG_TARGET, "the worker crashed and goes on: {error}");
    }
}
