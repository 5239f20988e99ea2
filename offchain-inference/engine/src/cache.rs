// SPDX-License-Identifier: Apache-2.0
//! The key-value cache: pages of 32 positions, shared between sequences.
//!
//! A page holds the keys and values of all loaded layers for 32 positions. Full pages never change,
//! so sequences with a common prefix share them; a partly filled last page is copied when a
//! sequence that shares it writes to it. Pages of whole prompts are also kept under the tokens that
//! led to them, for later sequences, until the room is needed.

use std::{
    collections::HashMap,
    sync::{
        atomic::{AtomicU64, AtomicUsize, Ordering},
        Arc, Mutex, MutexGuard, PoisonError,
    },
};

use crate::{
    kernels::{Buffer, PAGE},
    Error, Result,
};

/// The layout of a page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry {
    pub layers: usize,
    pub kv_heads: usize,
    pub head_width: usize,
}

impl Geometry {
    /// Elements of one head's keys, or values, in one layer.
    fn head(self) -> usize {
        self.head_width * PAGE
    }

    /// Offset of the keys of `head` in loaded layer `layer`.
    pub fn keys(self, layer: usize, head: usize) -> usize {
        (2 * layer * self.kv_heads + head) * self.head()
    }

    /// Offset of the values of `head` in loaded layer `layer`.
    pub fn values(self, layer: usize, head: usize) -> usize {
        self.keys(layer, head + self.kv_heads)
    }

    fn elements(self) -> usize {
        2 * self.layers * self.kv_heads * self.head()
    }

    fn bytes(self) -> usize {
        self.elements() * size_of::<u16>()
    }
}

/// Hands out pages, up to a number of bytes.
pub(crate) struct Budget {
    geometry: Geometry,
    capacity: usize,
    used: AtomicUsize,
    /// Memory of pages that are gone, for the next ones: new memory costs the system some work.
    spare: Mutex<Vec<Buffer<u16>>>,
}

impl Budget {
    fn spare(&self) -> MutexGuard<'_, Vec<Buffer<u16>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// 32 positions; f16 bits.
pub(crate) struct Page {
    data: Buffer<u16>,
    budget: Arc<Budget>,
}

impl Drop for Page {
    fn drop(&mut self) {
        let data = std::mem::replace(&mut self.data, Buffer::empty());
        self.budget.spare().push(data);
        self.budget
            .used
            .fetch_sub(self.budget.geometry.bytes(), Ordering::Relaxed);
    }
}

impl Page {
    fn new(budget: &Arc<Budget>) -> Result<Self> {
        let needed = budget.geometry.bytes();
        budget
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(needed)
                    .filter(|&used| used <= budget.capacity)
            })
            .map_err(|used| Error::CacheFull {
                capacity: budget.capacity,
                used,
                needed,
            })?;
        let spare = budget.spare().pop();
        let data = match spare {
            // Old values must not reach a later sequence, not even a NaN multiplied by a weight of
            // zero.
            Some(mut data) => {
                data.fill(0);
                Ok(data)
            },
            None => Buffer::zeroed(budget.geometry.elements()),
        };
        match data {
            Ok(data) => Ok(Self {
                data,
                budget: budget.clone(),
            }),
            Err(e) => {
                budget.used.fetch_sub(needed, Ordering::Relaxed);
                Err(e)
            },
        }
    }

    fn copy(&self) -> Result<Self> {
        let mut page = Self::new(&self.budget)?;
        page.data.copy_from_slice(&self.data);
        Ok(page)
    }

    /// For kernels, which write only positions that nobody reads in the same phase.
    pub fn as_mut_ptr(&self) -> *mut u16 {
        self.data.as_mut_ptr()
    }
}

type PageTokens = [u32; PAGE];

/// A full page that is remembered under its tokens and the page before it.
struct Known {
    id: u64,
    page: Arc<Page>,
    /// Remembered pages that follow this one.
    children: usize,
    parent: Option<Key>,
    last_used: u64,
}

/// Id of the page before (or of the kind of prefix: see [`Cache::prefixes`]), and the tokens.
type Key = (u64, PageTokens);

/// The cache of one model.
pub(crate) struct Cache {
    budget: Arc<Budget>,
    known: Mutex<HashMap<Key, Known>>,
    clock: AtomicU64,
}

impl Cache {
    pub fn new(geometry: Geometry, capacity: usize) -> Self {
        Self {
            budget: Arc::new(Budget {
                geometry,
                capacity,
                used: AtomicUsize::new(0),
                spare: Mutex::default(),
            }),
            known: Mutex::default(),
            clock: AtomicU64::new(1),
        }
    }

    pub fn geometry(&self) -> Geometry {
        self.budget.geometry
    }

    /// Bytes that sessions and remembered prefixes use.
    pub fn used(&self) -> usize {
        self.budget.used.load(Ordering::Relaxed)
    }

    /// Positions that there is room for.
    pub fn positions(&self) -> usize {
        self.positions_in(self.budget.capacity)
    }

    /// Positions that the pages in use hold.
    pub fn positions_used(&self) -> usize {
        self.positions_in(self.used())
    }

    fn positions_in(&self, bytes: usize) -> usize {
        let page = self.budget.geometry.bytes();
        bytes.checked_div(page).unwrap_or(0) * PAGE
    }

    /// A name under which prefixes are kept apart from all others; 0 is the model's own.
    pub fn prefixes(&self) -> u64 {
        self.tick()
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }

    /// Runs `allocate`, forgetting remembered pages, the least recently used first, for as long as
    /// there is no room.
    fn with_room<T>(&self, allocate: impl Fn() -> Result<T>) -> Result<T> {
        loop {
            match allocate() {
                Err(Error::CacheFull { .. }) if self.forget_one() => {},
                outcome => return outcome,
            }
        }
    }

    /// Forgets the least recently used page whose memory comes free, if there is one.
    fn forget_one(&self) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = known
            .iter()
            .filter(|(_, k)| k.children == 0 && Arc::strong_count(&k.page) == 1)
            .min_by_key(|(_, k)| k.last_used)
            .map(|(key, _)| *key);
        let Some(removed) = oldest.and_then(|key| known.remove(&key)) else {
            return false;
        };
        if let Some(parent) = removed.parent.and_then(|key| known.get_mut(&key)) {
            parent.children -= 1;
        }
        true
    }
}

/// The pages of one sequence.
#[derive(Clone, Default)]
pub(crate) struct Pages(Vec<Arc<Page>>);

impl Pages {
    /// Makes positions `len..new_len` writable: their pages exist and are this sequence's own.
    ///
    /// On an error nothing has changed but for a page that is now unshared.
    pub fn reserve(&mut self, cache: &Cache, len: usize, new_len: usize) -> Result<()> {
        let before = self.0.len();
        if !len.is_multiple_of(PAGE) {
            if let Some(last) = self.0.get_mut(len / PAGE) {
                if Arc::get_mut(last).is_none() {
                    *last = Arc::new(cache.with_room(|| last.copy())?);
                }
            }
        }
        while self.0.len() < new_len.div_ceil(PAGE) {
            match cache.with_room(|| Page::new(&cache.budget)) {
                Ok(page) => self.0.push(Arc::new(page)),
                Err(e) => {
                    self.0.truncate(before);
                    return Err(e);
                },
            }
        }
        Ok(())
    }

    /// Drops what lies past `len` positions.
    pub fn truncate(&mut self, len: usize) {
        self.0.truncate(len.div_ceil(PAGE));
    }

    pub fn pointers(&self) -> Vec<*mut u16> {
        self.0.iter().map(|page| page.as_mut_ptr()).collect()
    }

    /// The longest prefix of `tokens` that is remembered under `prefixes`, and its length. Its end
    /// may lie within a page that another sequence filled up in its own way.
    pub fn recall(cache: &Cache, prefixes: u64, tokens: &[u32]) -> (Self, usize) {
        let mut known = cache.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now = cache.tick();
        let mut pages = Vec::new();
        let mut parent = prefixes;
        for tokens in tokens.chunks_exact(PAGE) {
            let Some(entry) = key(parent, tokens).and_then(|key| known.get_mut(&key)) else {
                break;
            };
            entry.last_used = now;
            parent = entry.id;
            pages.push(entry.page.clone());
        }
        let mut len = pages.len() * PAGE;
        let rest = tokens.get(len..).unwrap_or_default();
        let common = |page: &PageTokens| page.iter().zip(rest).take_while(|(a, b)| a == b).count();
        let last = known
            .iter_mut()
            .filter(|((before, _), _)| *before == parent)
            .map(|((_, page), entry)| (common(page), entry))
            .max_by_key(|(common, _)| *common);
        if let Some((common @ 1.., entry)) = last {
            entry.last_used = now;
            pages.push(entry.page.clone());
            len += common;
        }
        (Self(pages), len)
    }

    /// Remembers the full pages of a sequence of `tokens` that starts at position 0.
    pub fn remember(&self, cache: &Cache, prefixes: u64, tokens: &[u32]) {
        let mut known = cache.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now = cache.tick();
        let mut parent: Option<(u64, Key)> = None;
        for (page, tokens) in self.0.iter().zip(tokens.chunks_exact(PAGE)) {
            let Some(key) = key(parent.map_or(prefixes, |(id, _)| id), tokens) else {
                break;
            };
            let id = match known.get_mut(&key) {
                Some(entry) => {
                    entry.last_used = now;
                    entry.id
                },
                None => {
                    let id = cache.tick();
                    if let Some(parent) = parent.and_then(|(_, key)| known.get_mut(&key)) {
                        parent.children += 1;
                    }
                    let parent = parent.map(|(_, key)| key);
                    let page = page.clone();
                    known.insert(
                        key,
                        Known {
                            id,
                            page,
                            children: 0,
                            parent,
                            last_used: now,
                        },
                    );
                    id
                },
            };
            parent = Some((id, key));
        }
    }
}

fn key(parent: u64, tokens: &[u32]) -> Option<Key> {
    Some((parent, tokens.try_into().ok()?))
}
