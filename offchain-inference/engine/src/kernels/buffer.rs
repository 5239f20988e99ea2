// SPDX-License-Identifier: Apache-2.0
//! Memory on cache-line boundaries.

use std::{
    alloc::{alloc_zeroed, dealloc, Layout},
    marker::PhantomData,
    ptr::NonNull,
    sync::Arc,
};

use memmap2::MmapMut;

use crate::{Error, Result};

/// Alignment: a cache line, and a whole AVX-512 register.
const LINE: usize = 64;

/// Plain numbers, for which all-zero bytes are a value.
pub(crate) trait Plain: Copy + Send + Sync + 'static {}
impl Plain for u8 {}
impl Plain for i8 {}
impl Plain for u16 {}
impl Plain for i32 {}
impl Plain for f32 {}

/// A zeroed array that starts on a cache line.
///
/// Kernels write disjoint parts from several threads through [`Buffer::as_mut_ptr`]. Their caller
/// keeps the parts disjoint and separates phases with barriers.
pub(crate) struct Buffer<T: Plain> {
    data: NonNull<T>,
    len: usize,
    /// The arena that holds the memory; `None`: the buffer has memory of its own.
    arena: Option<Arc<MmapMut>>,
    marker: PhantomData<T>,
}

// SAFETY: the buffer owns its memory and `T` is plain data.
unsafe impl<T: Plain> Send for Buffer<T> {}
// SAFETY: as above; shared writes go through raw pointers in unsafe code only.
unsafe impl<T: Plain> Sync for Buffer<T> {}

impl<T: Plain> Buffer<T> {
    /// No elements and no memory.
    pub const fn empty() -> Self {
        Self {
            data: NonNull::dangling(),
            len: 0,
            arena: None,
            marker: PhantomData,
        }
    }

    /// `len` zeros, or an error if the system has no memory for them.
    pub fn zeroed(len: usize) -> Result<Self> {
        if len == 0 {
            return Ok(Self::empty());
        }
        let failed = || Error::Resources(format!("no memory for {len} × {} bytes", size_of::<T>()));
        let layout = Self::layout(len).ok_or_else(failed)?;
        // SAFETY: the layout's size is not zero.
        let data = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or_else(failed)?;
        Ok(Self {
            data: data.cast(),
            len,
            arena: None,
            marker: PhantomData,
        })
    }

    fn layout(len: usize) -> Option<Layout> {
        Layout::from_size_align(len.checked_mul(size_of::<T>())?, LINE).ok()
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn as_ptr(&self) -> *const T {
        self.data.as_ptr()
    }

    pub fn as_mut_ptr(&self) -> *mut T {
        self.data.as_ptr()
    }
}

impl<T: Plain> std::ops::Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `data` points to `len` initialised elements.
        unsafe { std::slice::from_raw_parts(self.data.as_ptr(), self.len) }
    }
}

impl<T: Plain> std::ops::DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and the borrow is unique.
        unsafe { std::slice::from_raw_parts_mut(self.data.as_ptr(), self.len) }
    }
}

impl<T: Plain> Drop for Buffer<T> {
    fn drop(&mut self) {
        if self.arena.is_some() {
            return;
        }
        if let Some(layout) = Self::layout(self.len).filter(|layout| layout.size() > 0) {
            // SAFETY: allocated in `zeroed` with this layout.
            unsafe { dealloc(self.data.as_ptr().cast(), layout) }
        }
    }
}

/// Address space that an arena asks for at a time. Unwritten pages take no memory.
const REGION: usize = 256 << 20;

/// Hands out buffers that lie side by side in huge pages, if the system has them. Decoding reads
/// all weights for every token, and waits for address translation if pages are small.
pub(crate) struct Arena {
    region: Option<Arc<MmapMut>>,
    used: usize,
}

impl Arena {
    pub fn new() -> Self {
        Self {
            region: None,
            used: 0,
        }
    }

    /// `len` zeros.
    pub fn zeroed<T: Plain>(&mut self, len: usize) -> Result<Buffer<T>> {
        let failed = || Error::Resources(format!("no memory for {len} × {} bytes", size_of::<T>()));
        let bytes = len
            .checked_mul(size_of::<T>())
            .and_then(|bytes| bytes.checked_next_multiple_of(LINE))
            .ok_or_else(failed)?;
        let region = match self.region.take() {
            Some(region) if bytes <= region.len() - self.used => region,
            _ => {
                let region = MmapMut::map_anon(bytes.max(REGION)).map_err(|_| failed())?;
                // Advice only: without huge pages the results are the same, but slower.
                #[cfg(target_os = "linux")]
                let _ = region.advise(memmap2::Advice::HugePage);
                self.used = 0;
                Arc::new(region)
            },
        };
        // SAFETY: the region has that many bytes left, and is mapped to a page boundary.
        let data = unsafe { region.as_ptr().add(self.used) }.cast_mut().cast();
        self.used += bytes;
        self.region = Some(region.clone());
        let data = NonNull::new(data).ok_or_else(failed)?;
        Ok(Buffer {
            data,
            len,
            arena: Some(region),
            marker: PhantomData,
        })
    }
}
