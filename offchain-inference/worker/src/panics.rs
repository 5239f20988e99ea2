// SPDX-License-Identifier: Apache-2.0

//! Keeps the node alive when the engine crashes.

use std::{panic, sync::Once, thread};

use crate::LOG_TARGET;

/// Prefixes of the names of the threads of the queue, of the engine, and of shards.
const OURS: [&str; 3] = ["agent-", "engine-", "shards-"];

/// A Substrate node exits on any panic. After this call it survives a panic in the threads of the
/// worker, all of which catch it.
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
