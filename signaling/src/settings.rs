//! Every setting of the program, under one name: as a flag, as an environment variable, and in a
//! file.

use std::{
    fmt::Display,
    net::{IpAddr, SocketAddr},
    str::FromStr,
    time::Duration,
};

use signaling::server::{Secret, ServerConfig, TurnSecret, WeakSecret, without_password};

/// The prefix of the environment variables. It has two underscores because Kubernetes sets
/// variables such as `SIGNALING_PORT` itself for a service of that name.
pub(crate) const VARIABLE_PREFIX: &str = "SIGNALING__";

/// The text that is shown in place of a secret.
const HIDDEN: &str = "hidden";

/// One setting.
pub(crate) struct Setting {
    /// Its name after `--`, and in a file.
    pub(crate) name: &'static str,
    /// The placeholder for the value in the help.
    pub(crate) value: &'static str,
    pub(crate) help: &'static str,
    /// Reads a value, or returns what is wrong with it.
    pub(crate) set: fn(&mut ServerConfig, &str) -> Result<(), String>,
    /// The value in the form in which it can be given, unless it is secret.
    pub(crate) show: fn(&ServerConfig) -> String,
}

impl Setting {
    /// The setting of this name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }

    /// The name of its variable.
    pub(crate) fn variable(&self) -> String {
        variable(self.name)
    }
}

/// The environment variable of a setting or flag with this name.
pub(crate) fn variable(name: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", name.to_ascii_uppercase().replace('-', "_"))
}

/// A setting that is one number.
macro_rules! number {
    ($name:literal, $value:literal, $($field:ident).+: $type:ty, $help:literal) => {
        Setting {
            name: $name,
            value: $value,
            help: $help,
            set: |config, text| {
                let usual = ServerConfig::default().$($field).+;
                config.$($field).+ = number::<$type>(text, <$type>::MAX, usual)?;
                Ok(())
            },
            show: |config| config.$($field).+.to_string(),
        }
    };
}

/// A setting that is a duration in seconds.
macro_rules! seconds {
    ($name:literal, $field:ident, $help:literal) => {
        Setting {
            name: $name,
            value: "S",
            help: $help,
            set: |config, text| {
                let usual = match ServerConfig::default().$field.as_secs() {
                    0 => 30,
                    seconds => seconds,
                };
                let seconds = number(text, u64::MAX, usual);
                config.$field = Duration::from_secs(seconds.map_err(|it| it + " (seconds)")?);
                Ok(())
            },
            show: |config| config.$field.as_secs().to_string(),
        }
    };
}

/// A setting that is a list of texts; the server checks them when it starts.
macro_rules! addresses {
    ($name:literal, $field:ident, $help:literal) => {
        Setting {
            name: $name,
            value: "LIST",
            help: $help,
            set: |config, text| {
                config.$field = list(text).map(str::to_owned).collect();
                Ok(())
            },
            show: |config| join(&config.$field),
        }
    };
}

/// A setting that is the path of a file or folder.
macro_rules! path {
    ($name:literal, $value:literal, $field:ident, $help:literal, $example:literal) => {
        Setting {
            name: $name,
            value: $value,
            help: $help,
            set: |config, text| {
                // A variable that a script forgot to set must not turn TLS off.
                if text.is_empty() {
                    return Err(format!("a path is missing here; for example {}", $example));
                }
                config.$field = Some(text.into());
                Ok(())
            },
            show: |config| {
                config.$field.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
            },
        }
    };
}

/// All settings, in the order of the help.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        name: "port",
        value: "PORT",
        help: "listen on this port; 0 takes any free one",
        set: |config, text| {
            config.address.set_port(number(text, u16::MAX, 3536)?);
            Ok(())
        },
        show: |config| config.address.port().to_string(),
    },
    Setting {
        name: "host",
        value: "ADDRESS",
        help: "listen on this address only",
        set: |config, text| {
            let host = text.parse::<IpAddr>();
            let host = host.map_err(|_| {
                format!(
                    "`{text}` is not an IP address; for example 127.0.0.1 for this machine alone, \
                     or 0.0.0.0 for all networks"
                )
            })?;
            config.address = SocketAddr::new(host, config.address.port());
            Ok(())
        },
        show: |config| config.address.ip().to_string(),
    },
    path!("web-root", "DIR", web_root, "also serve the files in DIR, for a web build", "web-dist"),
    Setting {
        name: "content-security-policy",
        value: "TEXT",
        help: "what browsers let the page do, if the default does not fit; empty for everything",
        set: |config, text| {
            config.content_security_policy = text.to_owned();
            Ok(())
        },
        show: |config| config.content_security_policy.clone(),
    },
    path!(
        "tls-cert",
        "FILE",
        tls_cert,
        "speak TLS with the certificates in this PEM file",
        "/etc/ssl/game/fullchain.pem"
    ),
    path!(
        "tls-key",
        "FILE",
        tls_key,
        "the private key of the first certificate, a PEM file",
        "/etc/ssl/game/privkey.pem"
    ),
    number!("max-message-bytes", "N", max_message_bytes: usize, "longest message from a peer"),
    number!(
        "max-header-bytes", "N", max_header_bytes: usize,
        "longest head of an HTTP request, address included"
    ),
    number!(
        "max-queued-bytes", "N", max_queued_bytes: usize, "most bytes that wait for a slow peer"
    ),
    number!("max-peers-per-room", "N", max_peers_per_room: u16, "most peers in one room, spectators included"),
    number!("max-rooms", "N", max_rooms: usize, "most rooms"),
    number!("max-peers", "N", max_peers: usize, "most peers in all rooms"),
    number!("max-connections", "N", max_connections: usize, "most connections, downloads included"),
    number!(
        "max-connections-per-address", "N", max_connections_per_address: u32,
        "the same from one network address"
    ),
    number!(
        "max-downloads-per-address", "N", max_downloads_per_address: u32,
        "most downloads at once to one network address"
    ),
    number!(
        "max-peers-per-address", "N", max_peers_per_address: u32,
        "most peers from one network address"
    ),
    number!(
        "joins-per-second", "N", join_rate.per_second: u32,
        "how many peers may join from one network address"
    ),
    number!("joins-at-once", "N", join_rate.at_once: u32, "how many of them may come at once"),
    number!(
        "messages-per-second", "N", message_rate.per_second: u32,
        "how many messages, or KiB, one peer may send"
    ),
    number!(
        "messages-at-once", "N", message_rate.at_once: u32, "how many of them may come at once"
    ),
    number!(
        "room-requests-per-second", "N", room_request_rate.per_second: u32,
        "how many requests about its room one peer may send"
    ),
    number!(
        "room-requests-at-once", "N", room_request_rate.at_once: u32,
        "how many of them may come at once"
    ),
    Setting {
        name: "trusted-proxies",
        value: "LIST",
        help: "networks whose X-Forwarded-For is trusted: 10.0.0.0/8,::1/128",
        set: |config, text| {
            config.trusted_proxies = list(text)
                .map(|item| {
                    let network = item.parse();
                    let network = network.or_else(|_| item.parse::<IpAddr>().map(Into::into));
                    network.map_err(|_| {
                        format!(
                            "`{item}` is neither an IP address nor a network; for example \
                             10.0.0.0/8,::1"
                        )
                    })
                })
                .collect::<Result<_, _>>()?;
            Ok(())
        },
        show: |config| join(&config.trusted_proxies),
    },
    addresses!(
        "allowed-origins",
        allowed_origins,
        "pages that may use the server, all of them if empty: https://game.example"
    ),
    addresses!(
        "stun-servers",
        stun_servers,
        "STUN servers for the peers: stun:stun.example.org:3478"
    ),
    addresses!(
        "turn-servers",
        turn_servers,
        "TURN servers for the peers: turn:turn.example.org:3478"
    ),
    Setting {
        name: "turn-secret",
        value: "SECRET",
        help: "static-auth-secret of the TURN servers; safer in the file or a variable",
        set: |config, text| {
            config.turn_secret = TurnSecret::new(text);
            Ok(())
        },
        show: |config| config.turn_secret.as_ref().map_or("", |_| HIDDEN).to_owned(),
    },
    seconds!(
        "turn-credential-time",
        turn_credential_time,
        "seconds for which a peer may use the TURN servers"
    ),
    Setting {
        name: "ticket-secret",
        value: "SECRET",
        help: "require a ticket that is signed with this secret; see `signaling ticket`",
        set: |config, text| {
            let secret = text.parse().map_err(|weak: WeakSecret| weak.to_string())?;
            config.ticket_secret = Some(secret);
            Ok(())
        },
        show: |config| config.ticket_secret.as_ref().map_or("", |_| HIDDEN).to_owned(),
    },
    seconds!("idle-timeout", idle_timeout, "seconds after which a silent peer is disconnected"),
    seconds!(
        "grace-time",
        grace_time,
        "seconds for which a peer stays in its room after its connection broke"
    ),
    Setting {
        name: "resume-secret",
        value: "TEXT",
        help: "signs the tokens that bring peers back to their rooms; set it to keep them valid after a restart",
        set: |config, text| {
            config.resume_secret = (!text.is_empty()).then(|| Secret(text.to_owned()));
            Ok(())
        },
        show: |config| config.resume_secret.as_ref().map_or("", |_| HIDDEN).to_owned(),
    },
    seconds!("resume-time", resume_time, "seconds for which such a token is valid"),
    Setting {
        name: "redis",
        value: "URL",
        help: "share rooms with all processes that use the same Redis: redis://host:6379",
        set: |config, text| {
            config.redis = (!text.is_empty()).then(|| Secret(text.to_owned()));
            Ok(())
        },
        show: |config| {
            config.redis.as_ref().map(|url| without_password(&url.0)).unwrap_or_default()
        },
    },
    seconds!(
        "drain-time",
        drain_time,
        "seconds that peers may stay once the server is asked to stop"
    ),
    seconds!("request-timeout", request_timeout, "seconds that an HTTP request may take to arrive"),
    seconds!(
        "write-timeout",
        write_timeout,
        "seconds for which a client may stop reading an HTTP response"
    ),
];

/// Reads a number; `usual` is one that makes sense, for the error.
fn number<T: FromStr + Display + TryInto<u128>>(text: &str, max: T, usual: T) -> Result<T, String> {
    text.parse().map_err(|_| {
        // Nobody needs to read the largest number of 64 bits.
        let range = match max.try_into() {
            Ok(max) if max <= u32::MAX.into() => format!(" from 0 to {max}"),
            _ => String::new(),
        };
        format!("`{text}` is not a whole number{range}; for example {usual}")
    })
}

/// The items of a list; an empty text is an empty list.
fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn join(items: &[impl ToString]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_shown_in_the_form_in_which_it_is_read() {
        for setting in SETTINGS {
            let value = match setting.name {
                "host" => "127.0.0.1",
                "trusted-proxies" => "10.0.0.0/8,::1/128",
                "redis" => "redis://host:6379/1",
                "allowed-origins" => "https://a.example,http://b.example:8080",
                "turn-secret" | "ticket-secret" | "resume-secret" => "long enough for a secret",
                _ => "7",
            };
            let mut config = ServerConfig::default();
            (setting.set)(&mut config, value).expect(setting.name);
            let shown = if setting.name.ends_with("-secret") { HIDDEN } else { value };
            assert_eq!((setting.show)(&config), shown, "{}", setting.name);
            assert_ne!(config, ServerConfig::default(), "{} changes nothing", setting.name);
        }
    }

    #[test]
    fn an_invalid_value_is_named_in_the_error_with_an_example_that_is_valid() {
        let value_of = |setting: &Setting| match setting.name {
            "trusted-proxies" => Some("10.0.0.0/8,everybody"),
            "host" => Some("nowhere"),
            _ if setting.value == "N" => Some("lots"),
            _ if ["S", "PORT"].contains(&setting.value) => Some("-1"),
            _ => None,
        };
        let refused = SETTINGS.iter().filter_map(|setting| Some((setting, value_of(setting)?)));
        assert!(refused.clone().count() > 25);
        for (setting, value) in refused {
            let mut config = ServerConfig::default();
            let error = (setting.set)(&mut config, value).expect_err(setting.name);
            let word = value.rsplit(',').next().expect("split has one part at least");
            assert!(error.contains(&format!("`{word}`")), "{error}");
            let (_, example) = error.split_once("for example ").expect("an example");
            let example = example.split(' ').next().expect("split has one part at least");
            (setting.set)(&mut config, example).expect(setting.name);
        }
    }

    #[test]
    fn a_number_too_large_is_named_with_the_largest() {
        for (name, value, words) in [
            ("port", "99999", "from 0 to 65535"),
            ("joins-at-once", "5000000000", "from 0 to 4294967295"),
            ("max-rooms", "99999999999999999999999", "`99999999999999999999999`"),
            ("idle-timeout", "1m", "60 (seconds)"),
        ] {
            let setting = Setting::named(name).expect(name);
            let error = (setting.set)(&mut ServerConfig::default(), value).expect_err(name);
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn an_empty_path_is_refused() {
        for name in ["web-root", "tls-cert", "tls-key"] {
            let setting = Setting::named(name).expect(name);
            let error = (setting.set)(&mut ServerConfig::default(), "").expect_err(name);
            assert!(error.contains("for example"), "{error}");
        }
    }
}
