//! Real bad networks: machines that can reach each other only through a router of ours, which
//! delays, loses and reorders what they send.
//!
//! A machine is a network namespace with a TUN device; the router is a thread between the devices.
//! The kernel's netem does the same, but not every kernel has it.

mod namespace;
mod router;

use std::{
    io::{self, Write, stderr},
    net::Ipv4Addr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use netcode::{prelude::LinkConditions, testing::LinkCounts};

use self::{
    namespace::{Device, Namespace, wait_for_packets},
    router::Router,
};
use crate::skip::skip;

/// The largest packet of a device.
const MTU: usize = 1500;
/// The longest wait of the router, and so the time within which it notices that it has to stop. If
/// a packet is due sooner, the router waits only until then.
const LONGEST_WAIT: Duration = Duration::from_millis(20);

/// Machines and the router between them; all of them end when this is dropped.
#[derive(Debug)]
pub struct Network {
    machines: Vec<Machine>,
    router: Arc<Mutex<Router>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// A machine of a [`Network`].
#[derive(Debug)]
pub struct Machine {
    address: Ipv4Addr,
    namespace: Namespace,
}

impl Network {
    /// Starts `machines` machines on a network without faults. If that is not permitted, prints
    /// that `test` was skipped, in the form that `cargo xtask test` collects.
    pub fn start(test: &str, machines: u8) -> Option<Self> {
        let made: Result<Vec<_>, String> = (1..=machines).map(Machine::new).collect();
        match made {
            Ok(made) => {
                let (machines, devices) = made.into_iter().unzip();
                Some(Self::route(machines, devices))
            }
            Err(reason) => {
                skip(test, &reason);
                None
            }
        }
    }

    fn route(machines: Vec<Machine>, devices: Vec<Device>) -> Self {
        let addresses = machines.iter().map(|machine| machine.address).collect();
        let router = Arc::new(Mutex::new(Router::new(addresses)));
        let is_over = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let (router, is_over) = (Arc::clone(&router), Arc::clone(&is_over));
            move || {
                let outcome = forward(&devices, &router, &is_over);
                if let Err(error) = &outcome {
                    // Printed at once, because the test that fails for this reason will name a
                    // different one.
                    let _ = writeln!(stderr(), "the router between the machines failed: {error}");
                }
                outcome
            }
        });
        Self { machines, router, is_over, thread: Some(thread) }
    }

    /// The machines, in order of their addresses.
    pub fn machines(&self) -> &[Machine] {
        &self.machines
    }

    /// From now on every packet that a machine sends goes over a link with these conditions, and
    /// counts start again at zero. Packets in flight arrive as before.
    pub fn set_conditions(&self, conditions: LinkConditions) {
        self.router().set_conditions(conditions);
    }

    /// Loses all packets that are sent within the next `time`. Returns how many packets of each
    /// machine were lost that way.
    pub fn black_out(&self, time: Duration) -> Vec<u64> {
        self.router().set_dark(true);
        thread::sleep(time);
        let mut router = self.router();
        router.set_dark(false);
        router.darkened().to_vec()
    }

    /// Pulls the cable of the machine with this index, or plugs it in again. Packets in flight
    /// arrive; what is sent to it or by it while it is unplugged is lost.
    pub fn set_cut(&self, machine: usize, is_cut: bool) {
        self.router().set_cut(machine, is_cut);
    }

    /// What each machine sent since the conditions were last set, and what became of it; packets
    /// sent in a blackout are not counted.
    pub fn counts(&self) -> Vec<LinkCounts> {
        self.router().counts()
    }

    fn router(&self) -> MutexGuard<'_, Router> {
        self.router.lock().expect("the router does not panic")
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let outcome = thread.join();
            if !thread::panicking() {
                outcome.expect("the router does not panic").expect("the devices work");
            }
        }
    }
}

impl Machine {
    fn new(number: u8) -> Result<(Self, Device), String> {
        let address = Ipv4Addr::new(10, 77, 0, number);
        let (namespace, device) = Namespace::new(address)?;
        Ok((Self { address, namespace }, device))
    }

    /// Its address, which all other machines can reach.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Runs `work` on this machine. Threads and processes that it starts stay there.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.namespace.run(work)
    }
}

/// Forwards packets until `is_over`.
fn forward(devices: &[Device], router: &Mutex<Router>, is_over: &AtomicBool) -> io::Result<()> {
    let started = Instant::now();
    let mut buffer = [0; MTU];
    while !is_over.load(Ordering::Relaxed) {
        let mut router = router.lock().expect("no thread panics while it holds the lock");
        for (from, device) in devices.iter().enumerate() {
            while let Some(packet) = device.receive(&mut buffer)? {
                router.handle_packet(started.elapsed(), from, packet);
            }
        }
        // A device whose queue is full loses packets, like any other.
        router.deliver(started.elapsed(), |to, packet| drop(devices[to].send(packet)));
        let due = router.next_due();
        drop(router);
        let wait = due.map_or(LONGEST_WAIT, |due| due.saturating_sub(started.elapsed()));
        wait_for_packets(devices, wait.min(LONGEST_WAIT))?;
    }
    Ok(())
}
