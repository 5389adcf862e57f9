//! What happens to a bot on purpose: it leaves, its process dies or stands still, or its network is
//! down.

use std::process::Command;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::failure::{Outcome, fail};
use crate::play::FRAMES_PER_SECOND;
use crate::process::{Running, output_of};

/// What `--leave` and `--kill` take, in words.
const MOMENT: &str = "the number of a bot and a second of the match, for example 2@5";

/// What the other flags take, in words.
const TIME: &str =
    "the number of a bot, a second of the match, and for how many seconds, for example 2@5:3";

/// A kind of mishap, and the flag that asks for it.
const KINDS: [(&str, Kind); 6] = [
    ("leave", Kind::Leave),
    ("kill", Kind::Kill),
    ("unplug", Kind::Unplug),
    ("mute", Kind::Mute),
    ("deafen", Kind::Deafen),
    ("stop", Kind::Stop),
];

/// What happens to a bot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// It leaves the room.
    Leave,
    /// Its process is killed.
    Kill,
    /// It neither sends nor receives anything.
    Unplug,
    /// Nothing that it sends arrives.
    Mute,
    /// It receives nothing.
    Deafen,
    /// Its process stands still.
    Stop,
}

/// Something that happens to one bot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mishap {
    /// The number of the bot, from 1 on.
    pub(super) bot: u8,
    pub(super) kind: Kind,
    /// The second of the match, counted from its first frame.
    at: u32,
    /// For how many seconds; 0 if it is for good.
    lasts: u32,
}

impl Mishap {
    /// The kind of mishap that a flag asks for.
    pub(super) fn kind_of(flag: &str) -> Option<Kind> {
        KINDS.iter().find(|(name, _)| *name == flag).map(|&(_, kind)| kind)
    }

    /// Reads what follows the flag.
    pub(super) fn parse(flag: &str, kind: Kind, given: &str) -> Outcome<Self> {
        let is_for_good = matches!(kind, Kind::Leave | Kind::Kill);
        let (bot, times) = given.split_once('@').unwrap_or((given, ""));
        let (at, lasts) = times.split_once(':').unwrap_or((times, ""));
        let lasts = match is_for_good {
            true => lasts.is_empty().then_some(0),
            false => number(lasts),
        };
        match (number(bot), number(at), lasts) {
            (Some(bot), Some(at), Some(lasts)) => Ok(Self { bot, kind, at, lasts }),
            _ => {
                let takes = if is_for_good { MOMENT } else { TIME };
                fail(format!("--{flag} takes {takes}; not {}", crate::shown(given.as_ref())))
            }
        }
    }

    /// Whether the bot is not there to the end.
    pub(super) fn is_for_good(&self) -> bool {
        matches!(self.kind, Kind::Leave | Kind::Kill)
    }

    /// The arguments by which the bot does it itself.
    pub(super) fn arguments(&self) -> Vec<String> {
        let Self { at, lasts, .. } = self;
        let outage = |kind| vec!["--outage".to_owned(), format!("{kind}@{at}:{lasts}")];
        match self.kind {
            Kind::Leave => vec!["--leave-after".to_owned(), at.to_string()],
            Kind::Unplug => outage("both"),
            Kind::Mute => outage("sending"),
            Kind::Deafen => outage("receiving"),
            Kind::Kill | Kind::Stop => Vec::new(),
        }
    }
}

fn number<T: FromStr + PartialOrd + From<u8>>(given: &str) -> Option<T> {
    given.parse().ok().filter(|number| *number > T::from(0))
}

/// Does to a process what is planned for it.
pub(super) struct Schedule {
    planned: Vec<Mishap>,
    resumes: Option<Instant>,
}

impl Schedule {
    pub(super) fn new(bot: u8, mishaps: &[Mishap]) -> Self {
        let is_ours = |it: &&Mishap| it.bot == bot && matches!(it.kind, Kind::Kill | Kind::Stop);
        Self { planned: mishaps.iter().filter(is_ours).copied().collect(), resumes: None }
    }

    /// Does what is due now that the bot has come to this frame.
    pub(super) fn follow(&mut self, frame: u32, running: &mut Running) -> Outcome {
        if self.resumes.is_some_and(|resumes| Instant::now() >= resumes) {
            self.resumes = None;
            signal(running, "CONT")?;
        }
        let is_due = |it: &mut Mishap| frame >= it.at * FRAMES_PER_SECOND;
        for mishap in Vec::from_iter(self.planned.extract_if(.., is_due)) {
            match mishap.kind {
                Kind::Kill => {
                    println!("xtask | kills {}", running.name());
                    running.kill();
                }
                _ => {
                    println!("xtask | stops {} for {} s", running.name(), mishap.lasts);
                    signal(running, "STOP")?;
                    let lasts = Duration::from_secs(u64::from(mishap.lasts));
                    self.resumes = Some(Instant::now() + lasts);
                }
            }
        }
        Ok(())
    }
}

/// Sends a signal to a child of ours.
fn signal(running: &Running, name: &str) -> Outcome {
    let sent =
        output_of(Command::new("kill").args([&format!("-{name}"), &running.id().to_string()]));
    match sent {
        Some(_) => Ok(()),
        None => fail("--stop needs the program `kill`, which Linux and macOS have"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flag_is_read_as_its_help_says() {
        let read =
            |flag: &str, given| Mishap::parse(flag, Mishap::kind_of(flag).expect("a flag"), given);
        let kill = Mishap { bot: 2, kind: Kind::Kill, at: 5, lasts: 0 };
        assert_eq!(read("kill", "2@5").ok(), Some(kill));
        assert!(kill.is_for_good() && kill.arguments().is_empty());
        let mute = Mishap { bot: 3, kind: Kind::Mute, at: 7, lasts: 4 };
        assert_eq!(read("mute", "3@7:4").ok(), Some(mute));
        assert!(!mute.is_for_good());
        assert_eq!(mute.arguments(), ["--outage", "sending@7:4"]);
        for (flag, given) in [
            ("kill", "2"),
            ("kill", "2@5:3"),
            ("leave", "0@5"),
            ("leave", "x@5"),
            ("unplug", "2@5"),
            ("stop", "2@5:0"),
            ("stop", "2@5:x"),
        ] {
            let refusal = read(flag, given).expect_err("a refusal").to_string();
            assert!(
                refusal.starts_with(&format!("--{flag} takes the number of a bot")),
                "{refusal}"
            );
            assert!(refusal.ends_with(&format!("; not `{given}`")), "{refusal}");
        }
    }
}
