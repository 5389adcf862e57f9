//! The peer connections that matchbox makes in a page.
//!
//! matchbox makes their configuration itself, drops them without closing them, and leaves handlers
//! behind that hold on to them. So code that constructs an `RTCPeerConnection` in this page meets a
//! proxy of ours, which does what matchbox leaves out.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use js_sys::{Array, Function, Object, Proxy, Reflect};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};

/// A page may hold at most this many connections, including those that are closed but not collected
/// yet: half of what Chromium allows, which throws at the next one.
const MAX_LIVE: u32 = 250;
/// Handlers through which a connection of matchbox keeps itself alive.
const HANDLERS: [&str; 3] =
    ["oniceconnectionstatechange", "onicecandidate", "onicegatheringstatechange"];

/// The connections of one socket; closed when dropped.
pub(in crate::transport) struct Connections {
    made: Rc<RefCell<Vec<Object>>>,
    is_relay_only: bool,
}

thread_local! {
    /// The owner of the connections that are being made right now.
    static MAKER: RefCell<Option<(Rc<RefCell<Vec<Object>>>, bool)>> = const { RefCell::new(None) };
    /// The number of connections that were made and are not collected yet.
    static LIVE: Cell<u32> = const { Cell::new(0) };
}

impl Connections {
    /// Starts without connections. With `is_relay_only` they lead through TURN servers and nowhere
    /// else.
    pub(in crate::transport) fn new(is_relay_only: bool) -> Self {
        Self { made: Rc::default(), is_relay_only }
    }

    /// Notes the connections that `work` makes.
    pub(in crate::transport) fn note<T>(&mut self, work: impl FnOnce() -> T) -> T {
        MAKER.set(Some((Rc::clone(&self.made), self.is_relay_only)));
        let outcome = work();
        MAKER.set(None);
        outcome
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        for connection in self.made.take() {
            // Neither call fails on a connection, whatever its state.
            for handler in HANDLERS {
                let _ = Reflect::set(&connection, &handler.into(), &JsValue::NULL);
            }
            let close = Reflect::get(&connection, &"close".into());
            if let Some(close) = close.ok().and_then(|close| close.dyn_into::<Function>().ok()) {
                let _ = close.call0(&connection);
            }
        }
    }
}

/// Whether another peer connection can be made: they are counted, and made through our proxy.
pub(in crate::transport) fn has_connections_left() -> bool {
    thread_local! {
        static IS_INSTALLED: bool = install().is_ok();
    }
    IS_INSTALLED.with(|is_installed| *is_installed) && LIVE.get() < MAX_LIVE
}

/// Puts our proxy between matchbox and the browser. It fails only where a page has frozen its own
/// window.
fn install() -> Result<(), JsValue> {
    let global = js_sys::global();
    let name = JsValue::from("RTCPeerConnection");
    let stock = Reflect::get(&global, &name)?.dyn_into::<Function>()?;
    let collected = collected()?;
    let construct = Closure::<dyn FnMut(Function, Array) -> Result<JsValue, JsValue>>::new(
        move |stock, arguments| construct(&stock, &arguments, &collected),
    );
    let handler = Object::new();
    Reflect::set(&handler, &"construct".into(), &construct.into_js_value())?;
    Reflect::set(&global, &name, &Proxy::new(&stock, &handler))?;
    Ok(())
}

/// The browser's registry of connections that are in use, which calls us for each one that it has
/// collected.
fn collected() -> Result<Object, JsValue> {
    let kind = Reflect::get(&js_sys::global(), &"FinalizationRegistry".into())?;
    let note = Closure::<dyn FnMut()>::new(|| LIVE.set(LIVE.get().saturating_sub(1)));
    let arguments = Array::of1(&note.into_js_value());
    Reflect::construct(&kind.dyn_into::<Function>()?, &arguments)?.dyn_into::<Object>()
}

fn construct(stock: &Function, arguments: &Array, collected: &Object) -> Result<JsValue, JsValue> {
    let Some((made, is_relay_only)) = MAKER.with_borrow(Clone::clone) else {
        // Other code in this page makes this connection.
        return Reflect::construct(stock, arguments);
    };
    if is_relay_only {
        let policy = JsValue::from("iceTransportPolicy");
        Reflect::set(&arguments.get(0), &policy, &"relay".into())?;
    }
    let connection = Reflect::construct(stock, arguments)?;
    LIVE.set(LIVE.get() + 1);
    let register = Reflect::get(collected, &"register".into())?.dyn_into::<Function>()?;
    register.call2(collected, &connection, &JsValue::NULL)?;
    made.borrow_mut().push(connection.clone().dyn_into::<Object>()?);
    Ok(connection)
}
