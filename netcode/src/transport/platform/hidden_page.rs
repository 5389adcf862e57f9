//! A page that is hidden plays on.
//!
//! Browsers call nobody back for the next animation frame of a page that nobody sees, and game loops wait for nothing else. So while
//! the page is hidden, those who wait are called by the timer of a worker, which browsers let run.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use js_sys::{Array, Function, Reflect};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::{Blob, Event, Url, Window, Worker};

/// Waits, tells the page, and waits to be asked again: a page that is slower than the timer is not called once more before it is done.
///
/// 30 calls a second: half of a display's, for nobody looks, and often enough that the others never wait for this peer.
const WORKER: &str = "onmessage = () => setTimeout(() => postMessage(0), 33);";
/// Our numbers of requests begin here, where those of no browser are.
const FIRST_REQUEST: i32 = 1 << 30;

/// Who waits for the next animation frame.
#[derive(Default)]
struct Waiting {
    callbacks: RefCell<Vec<(i32, Function)>>,
    requests: Cell<i32>,
    /// Whether the browser was asked for the frame.
    is_asked: Cell<bool>,
}

impl Waiting {
    fn add(&self, callback: Function) -> i32 {
        self.requests.set(self.requests.get().wrapping_add(1) & (FIRST_REQUEST - 1));
        let request = FIRST_REQUEST + self.requests.get();
        self.callbacks.borrow_mut().push((request, callback));
        request
    }

    /// Whether it was one of ours.
    fn remove(&self, request: i32) -> bool {
        let mut callbacks = self.callbacks.borrow_mut();
        let before = callbacks.len();
        callbacks.retain(|&(other, _)| other != request);
        callbacks.len() < before
    }

    /// Calls all who wait; whoever asks again meanwhile waits for the next frame. An error is the first that any of them threw.
    fn call(&self, now: f64) -> Result<(), JsValue> {
        let callbacks = std::mem::take(&mut *self.callbacks.borrow_mut());
        let call = |(_, callback): &(i32, Function)| callback.call1(&JsValue::NULL, &now.into());
        // All are called, also after an error.
        let outcomes: Vec<Result<JsValue, JsValue>> = callbacks.iter().map(call).collect();
        outcomes.into_iter().try_for_each(|outcome| outcome.map(drop))
    }
}

/// Lets the page run on while it is hidden, from now on. Where the browser does not let us, it stops as any page does.
pub(in crate::transport) fn keep_running_while_hidden() {
    thread_local! {
        static IS_DONE: Cell<bool> = const { Cell::new(false) };
    }
    if !IS_DONE.replace(true)
        && let Some(window) = web_sys::window()
        && let Ok(worker) = start_worker()
    {
        // It fails only where a page has frozen its own window.
        let _ = install(&window, worker);
    }
}

/// Whether nobody can see the page.
pub(in crate::transport) fn is_hidden() -> bool {
    web_sys::window().and_then(|window| window.document()).is_some_and(|document| document.hidden())
}

fn start_worker() -> Result<Worker, JsValue> {
    let script = Blob::new_with_str_sequence(&Array::of1(&WORKER.into()))?;
    let url = Url::create_object_url_with_blob(&script)?;
    Worker::new(&url)
}

/// Puts ourselves between the page and its browser.
fn install(window: &Window, worker: Worker) -> Result<(), JsValue> {
    let waiting = Rc::new(Waiting::default());
    replace_requests(window, &waiting)?;
    call_while_hidden(window, waiting, worker)
}

fn replace_requests(window: &Window, waiting: &Rc<Waiting>) -> Result<(), JsValue> {
    let function = |name: &str| Reflect::get(window, &name.into())?.dyn_into::<Function>();
    let (ask, cancel) = (function("requestAnimationFrame")?, function("cancelAnimationFrame")?);

    let of_browser = Rc::clone(waiting);
    let frame = Closure::<dyn FnMut(f64) -> Result<(), JsValue>>::new(move |now| {
        of_browser.is_asked.set(false);
        of_browser.call(now)
    });
    let frame: Function = frame.into_js_value().unchecked_into();

    let (waiter, page) = (Rc::clone(waiting), window.clone());
    let request = Closure::<dyn FnMut(Function) -> Result<i32, JsValue>>::new(move |callback| {
        if !waiter.is_asked.replace(true) {
            ask.call1(&page, &frame)?;
        }
        Ok(waiter.add(callback))
    });

    let (waiter, page) = (Rc::clone(waiting), window.clone());
    let forget = Closure::<dyn FnMut(i32) -> Result<(), JsValue>>::new(move |request| {
        // What was asked for before we came is the browser's.
        if !waiter.remove(request) {
            cancel.call1(&page, &request.into())?;
        }
        Ok(())
    });

    Reflect::set(window, &"requestAnimationFrame".into(), &request.into_js_value())?;
    Reflect::set(window, &"cancelAnimationFrame".into(), &forget.into_js_value())?;
    Ok(())
}

fn call_while_hidden(window: &Window, waiting: Rc<Waiting>, worker: Worker) -> Result<(), JsValue> {
    let is_waking = Rc::new(Cell::new(false));

    let (timer, is_awake) = (worker.clone(), Rc::clone(&is_waking));
    let tick = Closure::<dyn FnMut(Event) -> Result<(), JsValue>>::new(move |event: Event| {
        is_awake.set(is_hidden());
        if !is_hidden() {
            return Ok(());
        }
        let outcome = waiting.call(event.time_stamp());
        timer.post_message(&JsValue::NULL)?;
        outcome
    });
    worker.set_onmessage(Some(tick.into_js_value().unchecked_ref()));

    let change = Closure::<dyn FnMut() -> Result<(), JsValue>>::new(move || {
        if is_hidden() && !is_waking.replace(true) {
            worker.post_message(&JsValue::NULL)?;
        }
        Ok(())
    });
    let change: Function = change.into_js_value().unchecked_into();
    change.call0(&JsValue::NULL)?;
    let document = window.document().ok_or(JsValue::NULL)?;
    document.add_event_listener_with_callback("visibilitychange", &change)
}
