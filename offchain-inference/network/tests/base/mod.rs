// SPDX-License-Identifier: Apache-2.0
//! Networks of `sc-network` on the loopback, with both of its backends.

use std::{
    future::Future,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use sc_network::{
    config::{
        FullNetworkConfiguration, MultiaddrWithPeerId, NetworkConfiguration, NotificationHandshake,
        Params, ProtocolId, Role, SetConfig,
    },
    service::traits::{NetworkService, PeerStore},
    Litep2pNetworkBackend, Multiaddr, NetworkBackend, NetworkWorker, NotificationMetrics,
};
use sp_core::H256;
use sp_runtime::{generic, traits::BlakeTwo256, OpaqueExtrinsic};
use tokio::runtime::Runtime;

pub type Block = generic::Block<generic::Header<u32, BlakeTwo256>, OpaqueExtrinsic>;
pub type Config<N> = FullNetworkConfiguration<Block, H256, N>;
pub type Libp2p = NetworkWorker<Block, H256>;
pub type Litep2p = Litep2pNetworkBackend;

/// Far longer than any step of a test takes.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A running network. It ends when this is dropped.
pub struct Host {
    runtime: Option<Runtime>,
    pub network: Arc<dyn NetworkService>,
}

impl Host {
    /// Starts a network that knows `boot`, with the protocols that `register` adds for a genesis.
    pub fn start<N: NetworkBackend<Block, H256>, P>(
        boot: Option<MultiaddrWithPeerId>,
        register: impl FnOnce(&mut Config<N>, H256, NotificationMetrics) -> P,
    ) -> (Self, P) {
        let runtime = Runtime::new().unwrap();
        let guard = runtime.enter();
        let mut config = NetworkConfiguration::new_local();
        config.boot_nodes = boot.into_iter().collect();
        let mut full = Config::<N>::new(&config, None);
        let metrics = N::register_notification_metrics(None);
        let genesis = H256::repeat_byte(7);
        let protocols = register(&mut full, genesis, metrics.clone());
        let (block_announce_config, mut announcements) = N::notification_config(
            "/block-announces/1".into(),
            vec![],
            1024,
            Some(NotificationHandshake::from_bytes(vec![1])),
            SetConfig::default(),
            metrics.clone(),
            full.peer_store_handle(),
        );
        runtime.spawn(async move { while announcements.next_event().await.is_some() {} });
        runtime.spawn(full.take_peer_store().run());
        let backend = N::new(Params {
            role: Role::Full,
            executor: Box::new(|future| {
                tokio::spawn(future);
            }),
            network_config: full,
            protocol_id: ProtocolId::from("test"),
            genesis_hash: genesis,
            fork_id: None,
            metrics_registry: None,
            block_announce_config,
            ipfs_config: None,
            notification_metrics: metrics,
        })
        .unwrap();
        let network = backend.network_service();
        runtime.spawn(backend.run());
        drop(guard);
        let host = Self {
            runtime: Some(runtime),
            network,
        };
        (host, protocols)
    }

    /// Runs a task until the network ends.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.as_ref().unwrap().spawn(task);
    }

    /// An address at which it listens.
    pub fn address(&self) -> Multiaddr {
        let mut addresses = vec![];
        wait("for an address", || {
            addresses = self.network.listen_addresses();
            !addresses.is_empty()
        });
        addresses.remove(0)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

pub fn wait(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "waited {what} in vain");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Runs a test with each backend.
macro_rules! with_both_backends {
    ($($test:ident),* $(,)?) => {
        mod litep2p {
            $(#[test] fn $test() { super::$test::<$crate::base::Litep2p>() })*
        }
        mod libp2p {
            $(#[test] fn $test() { super::$test::<$crate::base::Libp2p>() })*
        }
    };
}

pub(crate) use with_both_backends;
