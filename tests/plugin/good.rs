// The smallest observer in Rust, without a crate and without bindings: the layout is the contract.
#![crate_type = "cdylib"]
use std::os::raw::{c_char, c_void};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

type Status = i32;

#[repr(C)]
pub struct ModuleVt {
    size: u32,
    minor: u16,
    flags: u16,
    features: u64,
    create: unsafe extern "C" fn(*const c_void, *const c_void, *mut *mut c_void, *mut c_void) -> Status,
    start: unsafe extern "C" fn(*mut c_void, *mut c_void) -> Status,
    stop: unsafe extern "C" fn(*mut c_void),
    destroy: unsafe extern "C" fn(*mut c_void),
    get_extension: *const c_void,
    reconfigure: *const c_void,
    max_apply_level: *const c_void,
}
#[repr(C)]
pub struct ObserverV1 {
    m: ModuleVt,
    call_end: unsafe extern "C" fn(*mut c_void, *const c_void),
}
#[repr(C)]
pub struct ModuleDesc {
    size: u32,
    flags: u32,
    kind: *const c_char,
    name: *const c_char,
    summary: *const c_char,
    config_schema: *const c_char,
    vt: *const ObserverV1,
    tables: *const *const c_char,
}
#[repr(C)]
pub struct Plugin {
    size: u32,
    abi_major: u16,
    abi_minor: u16,
    id: *const c_char,
    version: *const c_char,
    vendor: *const c_char,
    license: *const c_char,
    build: *const c_char,
    module_desc_size: u32,
    module_count: u32,
    modules: *const ModuleDesc,
    load: *const c_void,
}
unsafe impl Sync for ObserverV1 {}
unsafe impl Sync for ModuleDesc {}
unsafe impl Sync for Plugin {}

unsafe extern "C" fn create(_: *const c_void, _: *const c_void, out: *mut *mut c_void, _: *mut c_void) -> Status {
    *out = Box::into_raw(Box::new(AtomicUsize::new(0))) as *mut c_void;
    0
}
unsafe extern "C" fn start(_: *mut c_void, _: *mut c_void) -> Status {
    0
}
unsafe extern "C" fn stop(_: *mut c_void) {}
unsafe extern "C" fn destroy(me: *mut c_void) {
    drop(Box::from_raw(me as *mut AtomicUsize));
}
unsafe extern "C" fn call_end(me: *mut c_void, _: *const c_void) {
    (*(me as *const AtomicUsize)).fetch_add(1, Ordering::Relaxed);
}

static OBSERVER: ObserverV1 = ObserverV1 {
    m: ModuleVt {
        size: std::mem::size_of::<ObserverV1>() as u32,
        minor: 0,
        flags: 0,
        features: 0,
        create,
        start,
        stop,
        destroy,
        get_extension: ptr::null(),
        reconfigure: ptr::null(),
        max_apply_level: ptr::null(),
    },
    call_end,
};
static MODULES: ModuleDesc = ModuleDesc {
    size: std::mem::size_of::<ModuleDesc>() as u32,
    flags: 0,
    kind: b"tenon.draft.observer/1\0".as_ptr() as *const c_char,
    name: b"count\0".as_ptr() as *const c_char,
    summary: ptr::null(),
    config_schema: ptr::null(),
    vt: &OBSERVER,
    tables: ptr::null(),
};
static PLUGIN: Plugin = Plugin {
    size: std::mem::size_of::<Plugin>() as u32,
    abi_major: 1,
    abi_minor: 0,
    id: b"org.example.rust\0".as_ptr() as *const c_char,
    version: b"0.1.0\0".as_ptr() as *const c_char,
    vendor: ptr::null(),
    license: ptr::null(),
    build: ptr::null(),
    module_desc_size: std::mem::size_of::<ModuleDesc>() as u32,
    module_count: 1,
    modules: &MODULES,
    load: ptr::null(),
};

#[no_mangle]
pub extern "C" fn tenon_plugin_query_v1() -> *const Plugin {
    &PLUGIN
}
