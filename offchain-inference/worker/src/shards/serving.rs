// SPDX-License-Identifier: Apache-2.0

//! Serves the configured layers, or chooses layers.

use std::{
    collections::BTreeMap,
    io,
    ops::Range,
    panic::{catch_unwind, AssertUnwindSafe},
    sync::{
        mpsc::{channel, Receiver, RecvTimeoutError, Sender},
        Arc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use parking_lot::Mutex;
use starling_engine::{config::Config as ModelConfig, gguf::Gguf, ActivationBits, LoadOptions};
use starling_planner::{
    choose,
    moves::{self, Hysteresis},
    Objective, Server,
};
use starling_shards::{transport::ModelId, Served, Service};

use crate::{
    config::{Config, Layers},
    file::ModelFile,
    metrics::Metrics,
    problems::Problems,
    queue::lower_priority,
    LOG_TARGET,
};

/// Time until a failed order is tried again.
const AGAIN: Duration = Duration::from_secs(15);

/// Time, between two bounds, for which a node looks for other servers before it chooses its layers.
/// It is random, so that nodes that start together do not all choose the same layers.
const LOOK: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(20)];

/// Time, between two bounds, after which a node checks whether other layers would be much better.
const LOOK_AGAIN: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(180)];

/// Seconds of an epoch. A node moves at most once in each, and has another turn in the next.
const EPOCH: u64 = 600;

/// Seconds at the start of an epoch in which nobody moves, since a look may not show those yet that
/// left their layers at the end of the epoch before.
const SETTLING: u64 = 30;

/// Layers to serve.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Order {
    name: String,
    file: ModelFile,
    layers: Layers,
    threads: usize,
    cache_bytes: usize,
    activation_bits: ActivationBits,
    niceness: u8,
}

/// The orders of a configuration.
pub(super) fn orders(config: &Config) -> Vec<Order> {
    let default = LoadOptions::default().cache_bytes;
    let orders = config.serve.iter().map(|serve| Order {
        name: serve.name(),
        file: serve.weights.file(config.store.as_deref()),
        layers: serve.layers.clone(),
        threads: config.threads,
        cache_bytes: serve.cache.map_or(default, |size| size.0),
        activation_bits: serve.activation_bits.unwrap_or_default(),
        niceness: config.niceness.get(),
    });
    orders.collect()
}

/// A thread that serves the last orders.
pub(super) struct Serving {
    orders: Mutex<Option<Sender<Vec<Order>>>>,
    thread: Option<JoinHandle<()>>,
}

impl Serving {
    /// Starts the thread.
    pub(super) fn start(
        service: Arc<Service>,
        first: Vec<Order>,
        metrics: Metrics,
        problems: Arc<Problems>,
    ) -> io::Result<Self> {
        let (sender, receiver) = channel();
        let tender = Tender {
            service,
            metrics,
            problems,
            served: BTreeMap::new(),
        };
        let thread = thread::Builder::new()
            .name("shards-serving".into())
            .spawn(move || tender.run(first, &receiver))?;
        Ok(Self {
            orders: Mutex::new(Some(sender)),
            thread: Some(thread),
        })
    }

    /// Replaces the orders.
    pub(super) fn order(&self, orders: Vec<Order>) {
        if let Some(sender) = &*self.orders.lock() {
            // The thread is gone only after a crash, which has been logged.
            let _ = sender.send(orders);
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.orders.lock().take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Tender {
    service: Arc<Service>,
    metrics: Metrics,
    problems: Arc<Problems>,
    served: BTreeMap<String, State>,
}

struct State {
    order: Order,
    model: ModelId,
    /// Number of layers of the whole model.
    layers: usize,
    /// The served layers; `None` while the node looks for other servers.
    span: Option<Range<usize>>,
    /// The time to look at the layers of others; `None` if the configuration names the layers.
    look: Option<Instant>,
    /// Time that the last span took to load.
    loading: Duration,
    /// Epoch of the last move.
    moved: Option<u64>,
}

impl Tender {
    fn run(mut self, mut orders: Vec<Order>, receiver: &Receiver<Vec<Order>>) {
        loop {
            self.withdraw(&orders);
            let mut next = None;
            for order in &orders {
                let tended = catch_unwind(AssertUnwindSafe(|| self.tend(order)))
                    .unwrap_or_else(|_| Err("the engine crashed".into()));
                let again = match self.problems.note(&topic(order), tended) {
                    Some(look) => look,
                    None => Some(Instant::now() + AGAIN),
                };
                next = [next, again].into_iter().flatten().min();
            }
            let wait = next.map_or(Duration::MAX, |at| {
                at.saturating_duration_since(Instant::now())
            });
            match receiver.recv_timeout(wait) {
                Ok(new) => {
                    let gone = |old: &&Order| new.iter().all(|order| order.name != old.name);
                    for order in orders.iter().filter(gone) {
                        self.problems.solved(&topic(order));
                    }
                    orders = new;
                },
                Err(RecvTimeoutError::Timeout) => {},
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Withdraws the layers whose order is gone or has changed.
    fn withdraw(&mut self, orders: &[Order]) {
        let (service, metrics) = (&self.service, &self.metrics);
        self.served.retain(|name, state| {
            let stays = orders.contains(&state.order);
            if !stays {
                service.withdraw(&state.model);
                metrics.served.with_label_values(&[name]).set(0);
            }
            stays
        });
    }

    /// Fulfils an order, and returns the time of the next check.
    fn tend(&mut self, order: &Order) -> Result<Option<Instant>, String> {
        let now = Instant::now();
        if !self.served.contains_key(&order.name) {
            let state = State::new(order.clone(), now)?;
            // Has the network look for other servers meanwhile.
            if state.look.is_some() {
                self.service.holders(&state.model);
            }
            self.served.insert(order.name.clone(), state);
        }
        let Some(state) = self.served.get_mut(&order.name) else {
            return Ok(None);
        };
        if state.look.is_some_and(|at| at > now) {
            return Ok(state.look);
        }
        if let Some(span) = state.place(&self.service) {
            // Nothing is served while the layers load; after a failure the next try chooses again.
            state.span = None;
            let served = self.metrics.served.with_label_values(&[&order.name]);
            served.set(0);
            let started = Instant::now();
            serve(&self.service, state, span.clone())?;
            state.loading = started.elapsed();
            served.set(span.len().try_into().unwrap_or(u64::MAX));
            state.span = Some(span);
        }
        if matches!(order.layers, Layers::Auto { .. }) {
            state.look = Some(Instant::now() + between(LOOK_AGAIN));
        }
        Ok(state.look)
    }
}

impl State {
    fn new(order: Order, now: Instant) -> Result<Self, String> {
        let gguf = Gguf::open(&order.file.path()?).map_err(|error| error.to_string())?;
        let config = ModelConfig::from_gguf(&gguf).map_err(|error| error.to_string())?;
        let layers = config.layers;
        let look = match &order.layers {
            Layers::Span(span) if span.end > layers => {
                return Err(format!(
                    "layers {}..{} are configured, but the model has {layers}",
                    span.start, span.end
                ));
            },
            Layers::Span(_) => None,
            Layers::Auto { .. } => Some(now + between(LOOK)),
        };
        Ok(Self {
            model: order.file.id()?,
            order,
            layers,
            span: None,
            look,
            loading: Duration::ZERO,
            moved: None,
        })
    }

    /// The layers to serve next; `None` to keep the present ones.
    fn place(&mut self, service: &Service) -> Option<Range<usize>> {
        match (&self.order.layers, &self.span) {
            (Layers::Span(_), Some(_)) => None,
            (Layers::Span(span), None) => Some(span.clone()),
            (Layers::Auto { max }, None) => {
                let max = max.map_or(usize::MAX, usize::from);
                let mut others = service.holders(&self.model);
                // What an excluded node holds is of no use.
                others.retain(|holder| service.trust(&holder.peer) > 0.0);
                let others = others.into_iter();
                let others = others.map(|holder| server(holder.layers, holder.throughput));
                choose(self.layers, max, &others.collect::<Vec<_>>())
            },
            (Layers::Auto { .. }, Some(_)) => self.next(service),
        }
    }

    /// The layers to move to, if that is worth loading them and those that it leaves keep holders.
    fn next(&mut self, service: &Service) -> Option<Range<usize>> {
        let epoch = epoch().filter(|epoch| self.moved != Some(*epoch))?;
        let swarm = service.swarm(&self.model)?;
        let local = service.local();
        let own = swarm.holders.iter().position(|one| one.peer == local)?;
        let peers: Vec<_> = swarm
            .holders
            .iter()
            .map(|one| one.peer.as_bytes())
            .collect();
        let accounts: Vec<_> = swarm.holders.iter().map(|one| one.account).collect();
        let turns = moves::proposers(&self.model, epoch, &peers);
        let (picture, placement) = (&swarm.view.picture, &swarm.view.placement);
        if !moves::may_leave(picture.model().layers, placement, &accounts, own, &turns) {
            return None;
        }
        let hysteresis = Hysteresis::of_loading(self.loading.as_secs_f64());
        let objective = Objective::default();
        let next = moves::next(picture, placement, own, &objective, &hysteresis)?;
        // A look takes seconds, and another epoch has other turns.
        self.moved = self::epoch().filter(|now| *now == epoch);
        self.moved.map(|_| next.start.into()..next.end.into())
    }
}

fn serve(service: &Service, state: &State, layers: Range<usize>) -> Result<(), String> {
    let order = &state.order;
    lower_priority(order.niceness);
    let served = Served {
        path: order.file.path()?,
        layers: layers.clone(),
        threads: order.threads,
        cache_bytes: order.cache_bytes,
        activation_bits: order.activation_bits,
    };
    service
        .serve(state.model, &served)
        .map_err(|error| error.to_string())?;
    log::info!(
        target: LOG_TARGET,
        "serving layers {}..{} of {} of {:?}",
        layers.start,
        layers.end,
        state.layers,
        order.name,
    );
    Ok(())
}

fn topic(order: &Order) -> String {
    format!("serving {:?}", order.name)
}

/// A server for the planner; `throughput` is in tokens · layers per second.
fn server(span: Range<usize>, throughput: f64) -> Server {
    let rate = throughput / span.len().max(1) as f64;
    Server { span, rate }
}

/// The present epoch.
fn epoch() -> Option<u64> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    epoch_of(since.unwrap_or_default().as_secs())
}

/// The epoch at a time in seconds since 1970, once it has settled.
fn epoch_of(seconds: u64) -> Option<u64> {
    (seconds % EPOCH >= SETTLING).then_some(seconds / EPOCH)
}

/// A random time between two bounds.
fn between([least, most]: [Duration; 2]) -> Duration {
    let chance = getrandom::u32().unwrap_or_default();
    let share = f64::from(chance) / f64::from(u32::MAX);
    least + (most.saturating_sub(least)).mul_f64(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_configuration_leaves_out_has_a_default() {
        let config: Config = toml::from_str(&format!(
            "niceness = 3\nthreads = 2\nstore = \"/models\"\n[[serve]]\nmodel = \"m\"\n\
             [[serve]]\npath = \"n.gguf\"\nsha256 = \"{}\"\nlayers = \"1..3\"\ncache = \"7 MiB\"\n\
             activation_bits = 8",
            "0".repeat(64)
        ))
        .unwrap();
        let [m, n] = &orders(&config)[..] else {
            panic!("two orders")
        };
        let stored = ModelFile::Store {
            name: "m".into(),
            folder: Some("/models".into()),
        };
        assert_eq!((&m.file, &m.layers), (&stored, &Layers::Auto { max: None }));
        assert_eq!(
            (n.layers.clone(), n.cache_bytes),
            (Layers::Span(1..3), 7 << 20)
        );
        assert_eq!((n.threads, n.niceness), (2, 3));
        let bits = [m, n].map(|order| order.activation_bits);
        assert_eq!(bits, [ActivationBits::Sixteen, ActivationBits::Eight]);
        assert_eq!(n.name, "n");
    }

    #[test]
    fn chance_stays_within_its_bounds() {
        for _ in 0..100 {
            let time = between(LOOK);
            assert!(LOOK[0] <= time && time <= LOOK[1]);
        }
    }

    #[test]
    fn nobody_moves_while_an_epoch_settles() {
        assert_eq!(epoch_of(3 * EPOCH - 1), Some(2));
        assert_eq!(epoch_of(3 * EPOCH), None);
        assert_eq!(epoch_of(3 * EPOCH + SETTLING - 1), None);
        assert_eq!(epoch_of(3 * EPOCH + SETTLING), Some(3));
    }

    #[test]
    fn a_span_is_as_fast_as_its_throughput_over_its_length() {
        let server = server(2..6, 40.0);
        assert_eq!((server.span, server.rate), (2..6, 10.0));
    }
}
