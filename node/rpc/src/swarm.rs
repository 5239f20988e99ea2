// SPDX-License-Identifier: Apache-2.0

//! Methods about the node's chain and swarm. They read, so they are safe.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jsonrpsee::{
    core::RegisterMethodError,
    types::{error::INTERNAL_ERROR_CODE, ErrorObjectOwned},
    RpcModule,
};
use serde::{Serialize, Serializer};
use serde_json::Value;
use tokio::{sync::Mutex, task::spawn_blocking};

/// The time for which what other nodes tell is kept.
const HOLDERS: Duration = Duration::from_secs(5);

/// Something that takes long to read.
pub type Read = Arc<dyn Fn() -> Result<Value, String> + Send + Sync>;

/// The methods:
///
/// - `starling_chainSpec` gives the raw specification of the chain, which is read once;
/// - `starling_holders` gives the layers that nodes compute for each other, which are read at most
///   every five seconds.
///
/// # Errors
/// When two methods have one name.
pub fn swarm_methods(
    specification: Read,
    holders: Read,
) -> Result<RpcModule<()>, RegisterMethodError> {
    let mut module = RpcModule::new(());
    let specification = Kept::new(specification, None);
    let holders = Kept::new(holders, Some(HOLDERS));
    for (name, kept) in [
        ("starling_chainSpec", specification),
        ("starling_holders", holders),
    ] {
        module.register_async_method(name, move |_, _, _| {
            let kept = kept.clone();
            async move { kept.get().await.map(Shared) }
        })?;
    }
    Ok(module)
}

/// A value for each of those who ask. A specification is large, so they share it.
#[derive(Clone)]
struct Shared(Arc<Value>);

impl Serialize for Shared {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Value::serialize(&self.0, serializer)
    }
}

/// A value, and the time at which it was read.
struct Kept {
    read: Read,
    /// `None` keeps it for ever.
    fresh: Option<Duration>,
    value: Mutex<Option<(Instant, Arc<Value>)>>,
}

impl Kept {
    fn new(read: Read, fresh: Option<Duration>) -> Arc<Self> {
        Arc::new(Self {
            read,
            fresh,
            value: Mutex::default(),
        })
    }

    /// The value. Callers that come while it is read wait for it, and no thread waits for them.
    async fn get(&self) -> Result<Arc<Value>, ErrorObjectOwned> {
        let mut kept = self.value.lock().await;
        let is_fresh = |at: &Instant| self.fresh.is_none_or(|fresh| at.elapsed() < fresh);
        if let Some((_, value)) = kept.as_ref().filter(|(at, _)| is_fresh(at)) {
            return Ok(value.clone());
        }
        let read = self.read.clone();
        let value = spawn_blocking(move || (*read)())
            .await
            .unwrap_or_else(|_| Err("the node failed to read it".into()))
            .map_err(|why| ErrorObjectOwned::owned(INTERNAL_ERROR_CODE, why, None::<()>))?;
        let value = Arc::new(value);
        *kept = Some((Instant::now(), value.clone()));
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Numbers from 1 on, one for each time that it is read.
    fn counted() -> (Read, Arc<AtomicUsize>) {
        let reads = Arc::new(AtomicUsize::new(0));
        let counter = reads.clone();
        let read = move || Ok::<_, String>(json!(counter.fetch_add(1, Ordering::Relaxed) + 1));
        (Arc::new(read), reads)
    }

    #[tokio::test]
    async fn a_value_is_read_once_for_all_who_ask() {
        let (specification, read) = counted();
        let (holders, _) = counted();
        let module = swarm_methods(specification, holders).unwrap();
        let calls = (0..9).map(|_| module.call::<_, u32>("starling_chainSpec", [(); 0]));
        for value in futures::future::join_all(calls).await {
            assert_eq!(value.unwrap(), 1);
        }
        assert_eq!(read.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_value_that_is_old_is_read_again() {
        let (read, _) = counted();
        let kept = Kept::new(read, Some(Duration::ZERO));
        assert_eq!(*kept.get().await.unwrap(), 1);
        assert_eq!(*kept.get().await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_failure_is_told_and_not_kept() {
        let fails = AtomicUsize::new(1);
        let read = move || match fails.swap(0, Ordering::Relaxed) {
            0 => Ok(json!("done")),
            _ => Err("the disk is full".to_owned()),
        };
        let kept = Kept::new(Arc::new(read), None);
        let told = kept.get().await.unwrap_err();
        assert_eq!(told.message(), "the disk is full");
        assert_eq!(*kept.get().await.unwrap(), "done");
    }
}
