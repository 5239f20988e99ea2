// SPDX-License-Identifier: Apache-2.0
//! Memory on cache-line boundaries.

use std::{
    alloc::{alloc_zeroed, dealloc, Layout},
    marker::PhantomData,
    ptr::NonNull,
};

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
/// Kernels write disjoint parts from several threads through [`Buffer::as_mut_ptr`]; whoever calls
/// them keeps the parts disjoint and separates phases with barriers.
pub(crate) struct Buffer<T: Plain> {
    data: NonNull<T>,
    len: usize,
    marker: PhantomData<T>,
}

// SAFETY: the buffer owns its memory and `T` is plain data.
unsafe impl<T: Plain> Send for Buffer<T> {}
// SAFETY: as above; shared writes go through raw pointers in unsafe code only.
unsafe impl<T: Plain> Sync for Buffer<T> {}

impl<T: Plain> Buffer<T> {
    /// `len` zeros, or an error where the system has no memory for them.
    pub fn zeroed(len: usize) -> Result<Self> {
        if len == 0 {
            return Ok(Self { data: NonNull::dangling(), len, marker: PhantomData });
        }
        let failed = || Error::Resources(format!("no memory for {len} × {} bytes", size_of::<T>()));
        let layout = Self::layout(len).ok_or_else(failed)?;
        // SAFETY: the layout's size is not zero.
        let data = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or_else(failed)?;
        Ok(Self { data: data.cast(), len, marker: PhantomData })
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
        if let Some(layout) = Self::layout(self.len).filter(|layout| layout.size() > 0) {
            // SAFETY: allocated in `zeroed` with this layout.
            unsafe { dealloc(self.data.as_ptr().cast(), layout) }
        }
    }
}
