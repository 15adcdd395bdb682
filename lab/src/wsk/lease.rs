//! Whose an indicated list is: WSK's, the callback's while it runs, the driver's after `STATUS_PENDING`, and WSK's again
//! with `WskRelease`, once.

use crate::nt::{NTSTATUS, status};
use crate::report::{Rule, record};
use std::sync::atomic::{AtomicU32, Ordering};

const DOC: &str = "WDK: WskRelease, PFN_WSK_RECEIVE_FROM_EVENT, PFN_WSK_RECEIVE_EVENT";
const TWICE: Rule = Rule::new("wsk.indication-released-twice", DOC);
/// The pointer given to `WskRelease` is not the head of a list.
pub const BAD: Rule = Rule::new("wsk.bad-indication", DOC);

const FREE: u32 = 0;
const INDICATED: u32 = 1;
const RETAINED: u32 = 2;
const RELEASED_EARLY: u32 = 3;
const MEMBER: u32 = 4;

/// The state of one node of a list.
#[derive(Debug)]
pub struct Lease(AtomicU32);

/// What `WskRelease` means.
#[derive(Debug, PartialEq, Eq)]
pub enum Released {
    /// The list is WSK's again.
    Now,
    /// The callback has not returned yet: the list is WSK's when it does.
    Early,
    /// Refused, with a record.
    Refused(NTSTATUS),
}

impl Lease {
    /// Becomes the head or another node of a list that a callback gets.
    pub fn lend(&self, head: bool) {
        self.0.store(if head { INDICATED } else { MEMBER }, Ordering::Release);
    }

    /// WSK's again, for whatever reason.
    pub fn clear(&self) {
        self.0.store(FREE, Ordering::Release);
    }

    /// The callback returned `STATUS_PENDING`: `false` when the list has been released meanwhile, and is WSK's.
    pub fn retain(&self) -> bool {
        self.0.compare_exchange(INDICATED, RETAINED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The callback returned, and did not keep the list.
    pub fn take_back(&self) {
        if self.0.swap(FREE, Ordering::AcqRel) == RELEASED_EARLY {
            record(
                TWICE,
                &format!("list {self:p} was released with WskRelease, and the callback did not return STATUS_PENDING"),
            );
        }
    }

    /// `WskRelease` of the list at `head`.
    pub fn release(&self, head: *const u8) -> Released {
        loop {
            match self.0.load(Ordering::Acquire) {
                RETAINED => {
                    if self.0.compare_exchange(RETAINED, FREE, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                        return Released::Now;
                    }
                }
                INDICATED => {
                    if self.0.compare_exchange(INDICATED, RELEASED_EARLY, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                        return Released::Early;
                    }
                }
                MEMBER => {
                    record(BAD, &format!("{head:p} is inside a list: the list is released by its first node"));
                    return Released::Refused(status::INVALID_PARAMETER);
                }
                _ => {
                    record(TWICE, &format!("list {head:p} was already released"));
                    return Released::Refused(status::INVALID_PARAMETER);
                }
            }
        }
    }
}
