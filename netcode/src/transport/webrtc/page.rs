//! A hidden page plays on, and a page that ends says goodbye.
//!
//! Browsers call no animation-frame callbacks of a hidden page, and game loops wait for nothing
//! else. So while the page is hidden, the waiting callbacks are called by the timer of a worker,
//! which browsers let run. As the page is closed, loaded again or left by a link, they are called
//! one last time.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
};

use js_sys::{Array, Function, Reflect};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::{Blob, Event, Url, Window, Worker};

/// Waits until it is time, calls the page, and waits to be asked again, so that a slow page is not
/// called again before it is done.
///
/// 30 calls a second: half of a display's rate, because nobody is looking, and often enough that
/// other peers never wait for this one.
const WORKER: &str = "\
    let last = 0; \
    const call = () => { last = performance.now(); postMessage(0); }; \
    onmessage = () => setTimeout(call, last + 33 - performance.now());";
/// Our numbers of requests begin here, beyond those of any browser.
const FIRST_REQUEST: i32 = 1 << 30;

/// The callbacks that wait for the next animation frame.
#[derive(Default)]
struct Waiting {
    callbacks: RefCell<VecDeque<(i32, Function)>>,
    /// The callbacks that are being called now, one after the other.
    present: RefCell<VecDeque<(i32, Function)>>,
    requests: Cell<i32>,
    /// Whether we have asked the browser for the frame.
    is_asked: Cell<bool>,
}

impl Waiting {
    fn add(&self, callback: Function) -> i32 {
        self.requests.set(self.requests.get().wrapping_add(1) & (FIRST_REQUEST - 1));
        let request = FIRST_REQUEST + self.requests.get();
        self.callbacks.borrow_mut().push_back((request, callback));
        request
    }

    /// Removes a request. Returns whether it was one of ours.
    fn remove(&self, request: i32) -> bool {
        [&self.callbacks, &self.present].iter().any(|callbacks| {
            let mut callbacks = callbacks.borrow_mut();
            let before = callbacks.len();
            callbacks.retain(|&(other, _)| other != request);
            callbacks.len() < before
        })
    }

    /// Calls all waiting callbacks, except those that another one cancels. A callback that is
    /// requested meanwhile waits for the next frame. The error is the first that any of them threw.
    fn call(&self, now: f64) -> Result<(), JsValue> {
        self.present.replace(self.callbacks.take());
        let mut outcome = Ok(());
        loop {
            let next = self.present.borrow_mut().pop_front();
            let Some((_, callback)) = next else { return outcome };
            // All are called, also after an error.
            outcome = outcome.and(callback.call1(&JsValue::NULL, &now.into()).map(drop));
        }
    }
}

thread_local! {
    /// Whether the page has to keep running.
    static IS_NEEDED: Cell<bool> = const { Cell::new(false) };
    /// Whether this is the last call of the page.
    static IS_ENDING: Cell<bool> = const { Cell::new(false) };
    /// The callbacks, once they are ours to call.
    static WAITING: RefCell<Option<Rc<Waiting>>> = const { RefCell::new(None) };
}

/// From now on, calls the page one last time as it is closed, loaded again or left. To be called
/// before the game loop begins, which stops as soon as it hears of that.
pub(crate) fn call_at_the_end() {
    thread_local! {
        static IS_LISTENING: Cell<bool> = const { Cell::new(false) };
    }
    let Some(window) = web_sys::window().filter(|_| !IS_LISTENING.replace(true)) else { return };
    let end = Closure::<dyn FnMut(Event) -> Result<(), JsValue>>::new(|event: Event| {
        let waiting = WAITING.with_borrow(Option::clone).filter(|_| IS_NEEDED.get());
        let Some(waiting) = waiting else { return Ok(()) };
        IS_ENDING.set(true);
        let outcome = waiting.call(event.time_stamp());
        // A page that the browser keeps may be shown again.
        IS_ENDING.set(false);
        outcome
    });
    let end: Function = end.into_js_value().unchecked_into();
    // It fails only where a page has frozen its own window.
    let _ = window.add_event_listener_with_callback("pagehide", &end);
}

/// Sets whether the page keeps running while it is hidden, and is called as it ends. Where the
/// browser does not allow that, the page stops as any page does.
pub(crate) fn run_on_while_hidden(is_needed: bool) {
    thread_local! {
        static IS_INSTALLED: Cell<bool> = const { Cell::new(false) };
    }
    IS_NEEDED.set(is_needed);
    if is_needed
        && !IS_INSTALLED.replace(true)
        && let Some(window) = web_sys::window()
    {
        // It fails only where a page has frozen its own window, or allows no workers.
        let _ = install(&window);
    }
}

/// Whether the page needs our calls now.
fn is_stranded() -> bool {
    IS_NEEDED.get() && is_hidden()
}

/// Whether the page is hidden from the player.
pub(crate) fn is_hidden() -> bool {
    web_sys::window().and_then(|window| window.document()).is_some_and(|document| document.hidden())
}

/// Whether the page is being closed, loaded again or left, and is called for the last time.
pub(crate) fn is_ending() -> bool {
    IS_ENDING.get()
}

fn start_worker() -> Result<Worker, JsValue> {
    let script = Blob::new_with_str_sequence(&Array::of1(&WORKER.into()))?;
    let url = Url::create_object_url_with_blob(&script)?;
    Worker::new(&url)
}

/// Puts our functions between the page and its browser.
fn install(window: &Window) -> Result<(), JsValue> {
    let waiting = Rc::new(Waiting::default());
    replace_requests(window, &waiting)?;
    WAITING.set(Some(Rc::clone(&waiting)));
    call_while_hidden(window, waiting, start_worker()?)
}

fn replace_requests(window: &Window, waiting: &Rc<Waiting>) -> Result<(), JsValue> {
    let function = |name: &str| Reflect::get(window, &name.into())?.dyn_into::<Function>();
    let (ask, cancel) = (function("requestAnimationFrame")?, function("cancelAnimationFrame")?);

    let frame = Closure::<dyn FnMut(f64) -> Result<(), JsValue>>::new({
        let waiting = Rc::clone(waiting);
        move |now| {
            waiting.is_asked.set(false);
            waiting.call(now)
        }
    });
    let frame: Function = frame.into_js_value().unchecked_into();

    let request = Closure::<dyn FnMut(Function) -> Result<i32, JsValue>>::new({
        let (waiting, window) = (Rc::clone(waiting), window.clone());
        move |callback| {
            if !waiting.is_asked.replace(true) {
                ask.call1(&window, &frame)?;
            }
            Ok(waiting.add(callback))
        }
    });

    let forget = Closure::<dyn FnMut(i32) -> Result<(), JsValue>>::new({
        let (waiting, window) = (Rc::clone(waiting), window.clone());
        move |request| {
            // A request from before our installation belongs to the browser.
            if !waiting.remove(request) {
                cancel.call1(&window, &request.into())?;
            }
            Ok(())
        }
    });

    Reflect::set(window, &"requestAnimationFrame".into(), &request.into_js_value())?;
    Reflect::set(window, &"cancelAnimationFrame".into(), &forget.into_js_value())?;
    Ok(())
}

fn call_while_hidden(window: &Window, waiting: Rc<Waiting>, worker: Worker) -> Result<(), JsValue> {
    let is_running = Rc::new(Cell::new(false));

    let tick = Closure::<dyn FnMut(Event) -> Result<(), JsValue>>::new({
        let (worker, is_running) = (worker.clone(), Rc::clone(&is_running));
        move |event: Event| {
            is_running.set(is_stranded());
            if !is_running.get() {
                return Ok(());
            }
            let outcome = waiting.call(event.time_stamp());
            worker.post_message(&JsValue::NULL)?;
            outcome
        }
    });
    worker.set_onmessage(Some(tick.into_js_value().unchecked_ref()));

    let change = Closure::<dyn FnMut() -> Result<(), JsValue>>::new(move || {
        if is_stranded() && !is_running.replace(true) {
            worker.post_message(&JsValue::NULL)?;
        }
        Ok(())
    });
    let change: Function = change.into_js_value().unchecked_into();
    change.call0(&JsValue::NULL)?;
    let document = window.document().ok_or(JsValue::NULL)?;
    document.add_event_listener_with_callback("visibilitychange", &change)
}
