//! A part of this machine with a network of its own, from which only the device made here leads
//! out. This is the one file that differs between systems; only Linux has namespaces.
//!
//! Everything that is started in it stays in it: threads, processes and their sockets. It ends with
//! the last of them. Nothing in it has a name that other programs could see or that could be left
//! over.

pub(super) use imp::{Device, Namespace, wait_for_packets};

#[cfg(target_os = "linux")]
mod imp {
    use std::{
        fs::File,
        io::{self, ErrorKind},
        net::Ipv4Addr,
        os::fd::AsFd,
        panic,
        process::Command,
        thread,
        time::Duration,
    };

    use nix::{
        poll::{PollFd, PollFlags, PollTimeout, poll},
        sched::{CloneFlags, setns, unshare},
    };
    use tun_rs::{DeviceBuilder, SyncDevice};

    /// The file by which the kernel names the namespace of a thread.
    const OF_THIS_THREAD: &str = "/proc/thread-self/ns/net";
    /// A name like that of a network card: browsers take `tun0` for a way into another network, and
    /// try it last.
    const DEVICE: &str = "eth0";

    /// The namespace, for as long as this value lives or anything runs in it.
    #[derive(Debug)]
    pub(in super::super) struct Namespace(File);

    impl Namespace {
        /// Makes a namespace whose only way out is the device. The error says why that is not
        /// possible.
        pub(in super::super) fn new(address: Ipv4Addr) -> Result<(Self, Device), String> {
            // In a thread of its own, so that the caller stays in its own namespace.
            on_a_thread(|| {
                unshare(CloneFlags::CLONE_NEWNET)
                    .map_err(|error| format!("a network namespace is not permitted: {error}"))?;
                let namespace = File::open(OF_THIS_THREAD)
                    .map_err(|error| format!("{OF_THIS_THREAD} cannot be opened: {error}"))?;
                let device = Device::new()
                    .map_err(|error| format!("a TUN device is not permitted: {error}"))?;
                connect(address)?;
                Ok((Self(namespace), device))
            })
        }

        /// Runs `work` inside the namespace.
        pub(in super::super) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
            on_a_thread(|| {
                setns(&self.0, CloneFlags::CLONE_NEWNET)
                    .expect("the process that made it may enter it");
                work()
            })
        }
    }

    fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
        let outcome = thread::scope(|scope| scope.spawn(work).join());
        outcome.unwrap_or_else(|panicked| panic::resume_unwind(panicked))
    }

    /// Gives the device an address, and routes everything over it. This includes multicast, by
    /// which browsers find each other and without which matchbox panics.
    fn connect(address: Ipv4Addr) -> Result<(), String> {
        for line in [
            "link set lo up",
            // IPv6 would find routes of its own.
            &format!("link set {DEVICE} addrgenmode none"),
            &format!("address add {address}/32 dev {DEVICE}"),
            &format!("link set {DEVICE} up multicast on"),
            &format!("route add default dev {DEVICE}"),
            &format!("route add 224.0.0.0/4 dev {DEVICE}"),
        ] {
            let outcome = Command::new("ip").args(line.split(' ')).output();
            let output = outcome.map_err(|error| format!("`ip` of iproute2: {error}"))?;
            if !output.status.success() {
                let words = String::from_utf8_lossy(&output.stderr);
                return Err(format!("`ip {line}`: {}", words.trim_end()));
            }
        }
        Ok(())
    }

    /// Our end of a namespace's way out: IP packets that are sent inside come out here, and packets
    /// that are sent here arrive inside.
    pub(in super::super) struct Device(SyncDevice);

    impl Device {
        fn new() -> io::Result<Self> {
            let device = DeviceBuilder::new().name(DEVICE).enable(false).build_sync()?;
            device.set_nonblocking(true)?;
            Ok(Self(device))
        }

        /// Returns the next packet that was sent inside, if there is one.
        pub(in super::super) fn receive<'a>(
            &self,
            buffer: &'a mut [u8],
        ) -> io::Result<Option<&'a [u8]>> {
            match self.0.recv(buffer) {
                Ok(length) => Ok(Some(&buffer[..length])),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
                Err(error) => Err(error),
            }
        }

        /// Delivers a packet inside.
        pub(in super::super) fn send(&self, packet: &[u8]) -> io::Result<()> {
            self.0.send(packet).map(drop)
        }
    }

    /// Waits until one of the devices has a packet, but for at most `most`.
    pub(in super::super) fn wait_for_packets(devices: &[Device], most: Duration) -> io::Result<()> {
        let mut entries: Vec<_> =
            devices.iter().map(|device| PollFd::new(device.0.as_fd(), PollFlags::POLLIN)).collect();
        // Rounded up, as a timeout of zero would not wait at all.
        let timeout =
            PollTimeout::try_from(most + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX);
        match poll(&mut entries, timeout) {
            Ok(_) | Err(nix::Error::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use std::{io, net::Ipv4Addr, time::Duration};

    /// Never created: only Linux has namespaces.
    #[derive(Debug)]
    pub(in super::super) enum Namespace {}

    impl Namespace {
        pub(in super::super) fn new(_address: Ipv4Addr) -> Result<(Self, Device), String> {
            Err("only Linux has network namespaces".to_owned())
        }

        pub(in super::super) fn run<T: Send>(&self, _work: impl FnOnce() -> T + Send) -> T {
            match *self {}
        }
    }

    /// Never created: only Linux has namespaces.
    pub(in super::super) enum Device {}

    impl Device {
        pub(in super::super) fn receive<'a>(
            &self,
            _buffer: &'a mut [u8],
        ) -> io::Result<Option<&'a [u8]>> {
            match *self {}
        }

        pub(in super::super) fn send(&self, _packet: &[u8]) -> io::Result<()> {
            match *self {}
        }
    }

    pub(in super::super) fn wait_for_packets(
        _devices: &[Device],
        _most: Duration,
    ) -> io::Result<()> {
        Ok(())
    }
}
