// SPDX-License-Identifier: Apache-2.0

//! Keeps a crash of the engine from ending the node.

use std::{panic, sync::Once, thread};

use crate::LOG_TARGET;

/// The threads of the worker's queue, of the engine, and of shards.
const OURS: [&str; 3] = ["agent-", "engine-", "shards-"];

/// A Substrate node exits on any panic. From now on it goes on after one in the worker's threads,
/// all of which catch it.
pub fn contain() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let thread = thread::current();
            let name = thread.name().unwrap_or_default();
            if OURS.iter().any(|ours| name.starts_with(ours)) {
                log::error!(target: LOG_TARGET, "thread {name} crashed: {info}");
            } else {
                others(info);
            }
        }));
    });
}
