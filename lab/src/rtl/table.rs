//! Generic tables: `RTL_GENERIC_TABLE` (a splay tree that also keeps the order of insertion) and `RTL_AVL_TABLE`.
//!
//! Both lay a header of links before the caller's bytes, in memory that the driver's own routine allocates. Look-ups in a
//! splay table move what they find to the root, as on NT, so that they need the table's lock exclusively; those in an AVL
//! table change nothing. The latter is balanced as a treap by a hash of the node's address: `Balance` and `DepthOfTree`,
//! which no driver may rely on, are not kept.

use crate::Export;
use crate::irql::{self, DISPATCH};
use crate::ke::Balance;
use crate::nt::LIST_ENTRY;
use crate::report::InCall;
use std::ffi::c_void;
use std::ptr::null_mut;

/// `RTL_SPLAY_LINKS`; `RTL_BALANCED_LINKS` begins with the same.
#[repr(C)]
struct Links {
    parent: *mut Links,
    left: *mut Links,
    right: *mut Links,
}

type Compare = unsafe extern "win64" fn(*mut c_void, *mut c_void, *mut c_void) -> i32;
type Allocate = unsafe extern "win64" fn(*mut c_void, u32) -> *mut c_void;
type Free = unsafe extern "win64" fn(*mut c_void, *mut c_void);

const LESS: i32 = 0;
const GREATER: i32 = 1;

/// `RTL_GENERIC_TABLE`.
#[repr(C)]
struct SplayTable {
    root: *mut Links,
    order: LIST_ENTRY,
    ordered: *mut LIST_ENTRY,
    which: u32,
    count: u32,
    compare: Compare,
    allocate: Allocate,
    free: Free,
    context: *mut c_void,
}

/// `RTL_AVL_TABLE`. The tree is the root links' right child.
#[repr(C)]
struct AvlTable {
    top: Links,
    balance: u64,
    ordered: *mut c_void,
    which: u32,
    count: u32,
    depth: u32,
    restart: *mut Links,
    deletes: u32,
    compare: Compare,
    allocate: Allocate,
    free: Free,
    context: *mut c_void,
}

const _: () = assert!(size_of::<SplayTable>() == 72 && size_of::<AvlTable>() == 104);

/// `TABLE_SEARCH_RESULT`.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
enum Search {
    Empty = 0,
    Found = 1,
    AsLeft = 2,
    AsRight = 3,
}

/// What the two kinds have in common.
struct Table {
    table: *mut c_void,
    root: *mut *mut Links,
    count: *mut u32,
    compare: Compare,
    allocate: Allocate,
    free: Free,
    /// Bytes before the caller's.
    header: usize,
    /// The list of insertion, for a splay table.
    order: *mut LIST_ENTRY,
}

/// What a treap keeps smaller towards the root.
fn priority(node: *mut Links) -> u64 {
    (node as u64 >> 4).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(32).wrapping_mul(0xBF58_476D_1CE4_E5B9)
}

impl Table {
    /// # Safety
    /// `t` is an initialised table.
    unsafe fn splay(t: *mut SplayTable) -> Self {
        // SAFETY: as our caller promises.
        unsafe {
            Self {
                table: t.cast(),
                root: &raw mut (*t).root,
                count: &raw mut (*t).count,
                compare: (*t).compare,
                allocate: (*t).allocate,
                free: (*t).free,
                header: size_of::<Links>() + size_of::<LIST_ENTRY>(),
                order: &raw mut (*t).order,
            }
        }
    }

    /// # Safety
    /// `t` is an initialised table.
    unsafe fn avl(t: *mut AvlTable) -> Self {
        // SAFETY: as our caller promises.
        unsafe {
            Self {
                table: t.cast(),
                root: &raw mut (*t).top.right,
                count: &raw mut (*t).count,
                compare: (*t).compare,
                allocate: (*t).allocate,
                free: (*t).free,
                header: 32,
                order: null_mut(),
            }
        }
    }

    fn is_splay(&self) -> bool {
        !self.order.is_null()
    }

    fn user(&self, node: *mut Links) -> *mut c_void {
        if node.is_null() { null_mut() } else { node.cast::<u8>().wrapping_add(self.header).cast() }
    }

    fn compare(&self, a: *mut c_void, b: *mut c_void) -> i32 {
        let balance = Balance::before("a table's compare routine");
        // SAFETY: the routine is the driver's, for its own bytes.
        let r = unsafe { (self.compare)(self.table, a, b) };
        balance.after();
        r
    }

    // All that follows: `self` is of a live table whose nodes only these functions link, and the driver serialises
    // changes. SAFETY comments below say what each adds.

    /// The top node's parent is itself (splay) or the links in the table (AVL).
    fn crown(&self) {
        // SAFETY: the root is a node or null.
        unsafe {
            let top = *self.root;
            if !top.is_null() {
                (*top).parent = if self.is_splay() { top } else { self.table.cast() };
            }
        }
    }

    fn is_top(&self, node: *mut Links) -> bool {
        // SAFETY: the table is live.
        unsafe { *self.root == node }
    }

    /// Moves `x` above its parent.
    fn rotate(&self, x: *mut Links) {
        // SAFETY: `x` is a node below the top, so its parent is a node.
        unsafe {
            let p = (*x).parent;
            let above = if self.is_top(p) {
                self.root
            } else {
                let g = (*p).parent;
                if (*g).left == p { &raw mut (*g).left } else { &raw mut (*g).right }
            };
            let inner = if (*p).left == x {
                (*p).left = (*x).right;
                (*x).right = p;
                (*p).left
            } else {
                (*p).right = (*x).left;
                (*x).left = p;
                (*p).right
            };
            if !inner.is_null() {
                (*inner).parent = p;
            }
            (*x).parent = (*p).parent;
            (*p).parent = x;
            *above = x;
        }
        self.crown();
    }

    fn to_root(&self, x: *mut Links) {
        while !self.is_top(x) {
            // SAFETY: below the top the parent is a node; below that the grandparent is one.
            unsafe {
                let p = (*x).parent;
                if !self.is_top(p) {
                    let g = (*p).parent;
                    let straight = ((*g).left == p) == ((*p).left == x);
                    self.rotate(if straight { p } else { x });
                }
            }
            self.rotate(x);
        }
    }

    fn search(&self, buffer: *mut c_void) -> (Search, *mut Links) {
        // SAFETY: links lead to nodes or null.
        unsafe {
            let mut node = *self.root;
            if node.is_null() {
                return (Search::Empty, null_mut());
            }
            loop {
                let (next, how) = match self.compare(buffer, self.user(node)) {
                    LESS => ((*node).left, Search::AsLeft),
                    GREATER => ((*node).right, Search::AsRight),
                    _ => return (Search::Found, node),
                };
                if next.is_null() {
                    return (how, node);
                }
                node = next;
            }
        }
    }

    /// # Safety
    /// `buffer` has `size` bytes; `new` is null or writable; the place is what `search` gave, and still true.
    unsafe fn insert(&self, buffer: *mut c_void, size: u32, new: *mut u8, at: (Search, *mut Links)) -> *mut c_void {
        let (how, place) = at;
        let mut node = place;
        if how != Search::Found {
            let total = u32::try_from(self.header).unwrap_or(0).saturating_add(size);
            let balance = Balance::before("a table's allocate routine");
            // SAFETY: the routine is the driver's; it gives `total` writable bytes or null.
            unsafe {
                node = (self.allocate)(self.table, total).cast();
                balance.after();
                if node.is_null() {
                    if let Some(n) = new.as_mut() {
                        *n = 0;
                    }
                    return null_mut();
                }
                node.cast::<u8>().write_bytes(0, self.header);
                (*node).parent = place;
                match how {
                    Search::Empty => *self.root = node,
                    Search::AsLeft => (*place).left = node,
                    _ => (*place).right = node,
                }
                *self.count += 1;
                self.crown();
                if self.is_splay() {
                    let entry = node.add(1).cast::<LIST_ENTRY>();
                    let last = (*self.order).Blink;
                    (*entry).Flink = self.order;
                    (*entry).Blink = last;
                    (*last).Flink = entry;
                    (*self.order).Blink = entry;
                } else {
                    while !self.is_top(node) && priority(node) < priority((*node).parent) {
                        self.rotate(node);
                    }
                }
                self.user(node).cast::<u8>().copy_from_nonoverlapping(buffer.cast(), size as usize);
            }
        }
        if self.is_splay() {
            self.to_root(node);
        }
        // SAFETY: as our caller promises.
        if let Some(n) = unsafe { new.as_mut() } {
            *n = u8::from(how != Search::Found);
        }
        self.user(node)
    }

    fn delete(&self, buffer: *mut c_void) -> bool {
        let (how, node) = self.search(buffer);
        if how != Search::Found {
            return false;
        }
        // SAFETY: `node` is a node; once it is a leaf it is unlinked, and freed by the routine that goes with its allocation.
        unsafe {
            loop {
                let (l, r) = ((*node).left, (*node).right);
                let child = match (l.is_null(), r.is_null()) {
                    (true, true) => break,
                    (true, false) => r,
                    (false, true) => l,
                    (false, false) if priority(l) < priority(r) => l,
                    (false, false) => r,
                };
                self.rotate(child);
            }
            if self.is_top(node) {
                *self.root = null_mut();
            } else {
                let p = (*node).parent;
                if (*p).left == node {
                    (*p).left = null_mut();
                } else {
                    (*p).right = null_mut();
                }
            }
            if self.is_splay() {
                let entry = node.add(1).cast::<LIST_ENTRY>();
                (*(*entry).Blink).Flink = (*entry).Flink;
                (*(*entry).Flink).Blink = (*entry).Blink;
            }
            *self.count -= 1;
            let balance = Balance::before("a table's free routine");
            (self.free)(self.table, node.cast());
            balance.after();
        }
        true
    }

    fn first(&self) -> *mut Links {
        // SAFETY: links lead to nodes or null.
        unsafe {
            let mut n = *self.root;
            while !n.is_null() && !(*n).left.is_null() {
                n = (*n).left;
            }
            n
        }
    }

    fn after(&self, node: *mut Links) -> *mut Links {
        // SAFETY: `node` is a node; links lead to nodes or null, and up to the top.
        unsafe {
            let mut n = (*node).right;
            if !n.is_null() {
                while !(*n).left.is_null() {
                    n = (*n).left;
                }
                return n;
            }
            n = node;
            while !self.is_top(n) {
                let p = (*n).parent;
                if (*p).left == n {
                    return p;
                }
                n = p;
            }
            null_mut()
        }
    }

    /// The one after `*restart`, or the first where that is null; `*restart` becomes it.
    ///
    /// # Safety
    /// `restart` is writable, and null or a node.
    unsafe fn next(&self, restart: *mut *mut Links) -> *mut c_void {
        // SAFETY: as our caller promises.
        unsafe {
            let n = if (*restart).is_null() { self.first() } else { self.after(*restart) };
            if !n.is_null() {
                *restart = n;
            }
            self.user(n)
        }
    }
}

fn enter(name: &'static str) -> InCall {
    let c = InCall::enter(name);
    irql::require_at_most(DISPATCH);
    c
}

extern "win64" fn init_splay(
    t: *mut SplayTable,
    compare: Compare,
    allocate: Allocate,
    free: Free,
    context: *mut c_void,
) {
    let _c = enter("RtlInitializeGenericTable");
    // SAFETY: the driver passes its storage for a table.
    unsafe {
        let order = &raw mut (*t).order;
        t.write(SplayTable {
            root: null_mut(),
            order: LIST_ENTRY { Flink: order, Blink: order },
            ordered: order,
            which: 0,
            count: 0,
            compare,
            allocate,
            free,
            context,
        });
    }
}

extern "win64" fn init_avl(t: *mut AvlTable, compare: Compare, allocate: Allocate, free: Free, context: *mut c_void) {
    let _c = enter("RtlInitializeGenericTableAvl");
    // SAFETY: as above.
    unsafe {
        t.write(AvlTable {
            top: Links { parent: t.cast(), left: null_mut(), right: null_mut() },
            balance: 0,
            ordered: null_mut(),
            which: 0,
            count: 0,
            depth: 0,
            restart: null_mut(),
            deletes: 0,
            compare,
            allocate,
            free,
            context,
        });
    }
}

/// The calls that both kinds have.
macro_rules! calls {
    ($of:ident, $kind:ty, $insert:ident, $insert_full:ident, $delete:ident, $lookup:ident, $full:ident, $empty:ident,
     $number:ident, $next:ident, $suffix:literal) => {
        extern "win64" fn $insert(t: *mut $kind, buffer: *mut c_void, size: u32, new: *mut u8) -> *mut c_void {
            let _c = enter(concat!("RtlInsertElementGenericTable", $suffix));
            // SAFETY: the driver passes a table that it initialised, its bytes and an optional out parameter.
            unsafe {
                let t = Table::$of(t);
                t.insert(buffer, size, new, t.search(buffer))
            }
        }
        extern "win64" fn $insert_full(
            t: *mut $kind,
            buffer: *mut c_void,
            size: u32,
            new: *mut u8,
            place: *mut Links,
            how: i32,
        ) -> *mut c_void {
            let _c = enter(concat!("RtlInsertElementGenericTableFull", $suffix));
            let how = match how {
                0 => Search::Empty,
                1 => Search::Found,
                2 => Search::AsLeft,
                _ => Search::AsRight,
            };
            // SAFETY: as above; the place is what the look-up gave.
            unsafe { Table::$of(t).insert(buffer, size, new, (how, place)) }
        }
        extern "win64" fn $delete(t: *mut $kind, buffer: *mut c_void) -> u8 {
            let _c = enter(concat!("RtlDeleteElementGenericTable", $suffix));
            // SAFETY: the driver passes a table that it initialised.
            u8::from(unsafe { Table::$of(t) }.delete(buffer))
        }
        extern "win64" fn $lookup(t: *mut $kind, buffer: *mut c_void) -> *mut c_void {
            let _c = enter(concat!("RtlLookupElementGenericTable", $suffix));
            // SAFETY: as above.
            let t = unsafe { Table::$of(t) };
            let (how, node) = t.search(buffer);
            if how != Search::Found {
                return null_mut();
            }
            if t.is_splay() {
                t.to_root(node);
            }
            t.user(node)
        }
        extern "win64" fn $full(
            t: *mut $kind,
            buffer: *mut c_void,
            place: *mut *mut Links,
            result: *mut i32,
        ) -> *mut c_void {
            let _c = enter(concat!("RtlLookupElementGenericTableFull", $suffix));
            // SAFETY: as above; both out parameters are writable.
            unsafe {
                let t = Table::$of(t);
                let (how, node) = t.search(buffer);
                *place = node;
                *result = how as i32;
                if how == Search::Found { t.user(node) } else { null_mut() }
            }
        }
        extern "win64" fn $empty(t: *mut $kind) -> u8 {
            // SAFETY: the driver passes a table that it initialised.
            u8::from(unsafe { (*t).count } == 0)
        }
        extern "win64" fn $number(t: *mut $kind) -> u32 {
            // SAFETY: as above.
            unsafe { (*t).count }
        }
        extern "win64" fn $next(t: *mut $kind, restart: *mut *mut Links) -> *mut c_void {
            let _c = enter(concat!("RtlEnumerateGenericTableWithoutSplaying", $suffix));
            // SAFETY: as above; the restart key is null or what an earlier call stored.
            unsafe { Table::$of(t).next(restart) }
        }
    };
}
calls!(splay, SplayTable, insert, insert_full, delete, lookup, lookup_full, is_empty, number, next, "");
calls!(
    avl,
    AvlTable,
    insert_avl,
    insert_full_avl,
    delete_avl,
    lookup_avl,
    lookup_full_avl,
    is_empty_avl,
    number_avl,
    next_avl,
    "Avl"
);

extern "win64" fn enumerate(t: *mut SplayTable, restart: u8) -> *mut c_void {
    let _c = enter("RtlEnumerateGenericTable");
    // SAFETY: the driver passes a table that it initialised. The last element enumerated is the root.
    unsafe {
        let t = Table::splay(t);
        let root = *t.root;
        let n = if restart != 0 || root.is_null() { t.first() } else { t.after(root) };
        if !n.is_null() {
            t.to_root(n);
        }
        t.user(n)
    }
}

extern "win64" fn enumerate_avl(t: *mut AvlTable, restart: u8) -> *mut c_void {
    let _c = enter("RtlEnumerateGenericTableAvl");
    // SAFETY: the driver passes a table that it initialised.
    unsafe {
        if restart != 0 {
            (*t).restart = null_mut();
        }
        let key = &raw mut (*t).restart;
        Table::avl(t).next(key)
    }
}

/// By order of insertion.
extern "win64" fn element(t: *mut SplayTable, index: u32) -> *mut c_void {
    let _c = enter("RtlGetElementGenericTable");
    // SAFETY: the driver passes a table that it initialised; the list has `count` entries, each behind its node's links.
    unsafe {
        if index >= (*t).count {
            return null_mut();
        }
        let mut e = (*t).order.Flink;
        for _ in 0..index {
            e = (*e).Flink;
        }
        Table::splay(t).user(e.cast::<Links>().sub(1))
    }
}

/// By order of the keys.
extern "win64" fn element_avl(t: *mut AvlTable, index: u32) -> *mut c_void {
    let _c = enter("RtlGetElementGenericTableAvl");
    // SAFETY: the driver passes a table that it initialised.
    unsafe {
        if index >= (*t).count {
            return null_mut();
        }
        let t = Table::avl(t);
        let mut key = null_mut();
        for _ in 0..index {
            t.next(&raw mut key);
        }
        t.next(&raw mut key)
    }
}

pub(super) fn exports() -> Vec<Export> {
    vec![
        export!("RtlInitializeGenericTable", init_splay),
        export!("RtlInsertElementGenericTable", insert),
        export!("RtlInsertElementGenericTableFull", insert_full),
        export!("RtlDeleteElementGenericTable", delete),
        export!("RtlLookupElementGenericTable", lookup),
        export!("RtlLookupElementGenericTableFull", lookup_full),
        export!("RtlIsGenericTableEmpty", is_empty),
        export!("RtlNumberGenericTableElements", number),
        export!("RtlEnumerateGenericTable", enumerate),
        export!("RtlEnumerateGenericTableWithoutSplaying", next),
        export!("RtlGetElementGenericTable", element),
        export!("RtlInitializeGenericTableAvl", init_avl),
        export!("RtlInsertElementGenericTableAvl", insert_avl),
        export!("RtlInsertElementGenericTableFullAvl", insert_full_avl),
        export!("RtlDeleteElementGenericTableAvl", delete_avl),
        export!("RtlLookupElementGenericTableAvl", lookup_avl),
        export!("RtlLookupElementGenericTableFullAvl", lookup_full_avl),
        export!("RtlIsGenericTableEmptyAvl", is_empty_avl),
        export!("RtlNumberGenericTableElementsAvl", number_avl),
        export!("RtlEnumerateGenericTableAvl", enumerate_avl),
        export!("RtlEnumerateGenericTableWithoutSplayingAvl", next_avl),
        export!("RtlGetElementGenericTableAvl", element_avl),
    ]
}
