use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::cell::RefCell;
use std::rc::Rc;

use super::*;
use crate::memory::PoolSettings;

const BUFFER_BYTES: u32 = 256;

/// What the source knows, for the test to look at.
#[derive(Default)]
struct Books {
    home: Vec<NonNull<u8>>,
    busy: Option<NonNull<u8>>,
    calls: u32,
}

/// A source of buffers allocated one by one, freed when it goes.
struct Boxes(Rc<RefCell<Books>>);

fn layout() -> Layout {
    Layout::from_size_align(HEADER_BYTES + BUFFER_BYTES as usize, 64).expect("valid")
}

// SAFETY: the buffers are aligned and zeroed, nobody else has them, and they are freed with the
// source: the tests let nothing live longer.
unsafe impl Source for Boxes {
    fn take(&mut self, batch: &mut Batch) {
        let mut books = self.0.borrow_mut();
        books.calls += 1;
        let left = books.home.len().saturating_sub(batch.remaining_capacity());
        batch.extend(books.home.drain(left..));
    }

    fn put(&mut self, batch: &mut Batch) {
        let mut books = self.0.borrow_mut();
        books.calls += 1;
        books.home.extend(batch.drain(..));
    }

    fn busy(&self, buffer: NonNull<u8>) -> bool {
        self.0.borrow().busy == Some(buffer)
    }
}

impl Drop for Boxes {
    fn drop(&mut self) {
        for buffer in self.0.borrow_mut().home.drain(..) {
            // SAFETY: allocated with this layout in `pool`.
            unsafe { dealloc(buffer.as_ptr(), layout()) };
        }
    }
}

fn pool(buffers: u32) -> (Pool, Rc<RefCell<Books>>) {
    let books = Rc::new(RefCell::new(Books::default()));
    // SAFETY: the layout has a size above zero.
    let fresh = || NonNull::new(unsafe { alloc_zeroed(layout()) }).expect("memory");
    books.borrow_mut().home.extend(std::iter::repeat_with(fresh).take(buffers as usize));
    let settings = PoolSettings { buffers, buffer_bytes: BUFFER_BYTES, headroom: 64 };
    let source = Box::new(Boxes(Rc::clone(&books)));
    (Pool::external(settings, source).expect("valid settings"), books)
}

#[test]
fn every_buffer_can_be_taken_and_comes_home() {
    let (pool, books) = pool(100);
    let mut out: Vec<Packet> = std::iter::from_fn(|| pool.alloc()).collect();
    assert_eq!((out.len(), pool.stats().in_use, pool.stats().exhausted), (100, 100, 1));
    // Three of them: fewer than a batch, so they wait, and are found nevertheless.
    out.truncate(97);
    assert!(books.borrow().home.is_empty());
    out.extend(std::iter::from_fn(|| pool.alloc()));
    assert_eq!(out.len(), 100);
    out.clear();
    assert_eq!((pool.stats().in_use, pool.stats().high_water), (0, 100));
    pool.settle();
    assert_eq!(books.borrow().home.len(), 100);
}

#[test]
fn the_source_is_called_once_a_batch() {
    let (pool, books) = pool(100);
    let packets: Vec<Packet> = std::iter::from_fn(|| pool.alloc()).take(64).collect();
    assert_eq!(books.borrow().calls, 2);
    drop(packets);
    assert_eq!(books.borrow().calls, 4);
}

#[test]
fn a_buffer_that_a_device_filled_is_a_packet() {
    let (pool, books) = pool(4);
    let buffer = books.borrow_mut().home.pop().expect("four");
    // SAFETY: within the buffer, which nobody else has now; then handed to its pool.
    let mut packet = unsafe {
        buffer.as_ptr().add(HEADER_BYTES + 100).copy_from_nonoverlapping(b"received".as_ptr(), 8);
        pool.adopt(Piece { buffer, offset: 100, len: 8 })
    };
    assert_eq!((packet.head(), packet.headroom()), (&b"received"[..], 100));
    assert!(packet.append(&pool, &[7; 300]));
    let frame = packet.freeze();
    let pieces: Vec<Piece> = frame.pieces().collect();
    assert_eq!(pieces[0], Piece { buffer, offset: 100, len: 156 });
    assert_eq!((pieces[1].offset, pieces[1].len, pieces.len()), (0, 152, 2));
    assert!(pool.owns(&frame));
    assert_eq!(pool.stats().in_use, 2);
    drop(frame);
    assert_eq!(pool.stats().in_use, 0);
}

#[test]
fn nobody_writes_to_what_a_device_still_reads() {
    let (pool, books) = pool(4);
    let frame = pool.copy(&[1; 300]).expect("buffers").freeze();
    let last = frame.pieces().last().expect("two");
    books.borrow_mut().busy = Some(last.buffer);
    let frame = frame.try_unfreeze().expect_err("a device reads its second segment");
    books.borrow_mut().busy = None;
    assert!(frame.try_unfreeze().is_ok());
}

#[test]
fn the_source_goes_with_the_last_packet() {
    let (pool, books) = pool(40);
    let packet = pool.alloc().expect("buffers");
    drop(pool);
    assert_eq!(Rc::strong_count(&books), 2);
    drop(packet);
    assert_eq!(Rc::strong_count(&books), 1);
}
