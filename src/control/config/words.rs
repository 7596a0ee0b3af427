//! The closed sets of words that a config may use. Each word is written once, for reading, printing and the
//! reference.

use crate::cluster::{AdminState, DrainThen, Flavor, PolicyName, Stick};
use crate::ids::Service;
use crate::net::tls::server::ClientAuth;

/// A type whose values are written as one of a few words.
pub trait Words: Copy + 'static {
    /// Every value, in the order in which the reference lists them.
    const ALL: &'static [Self];

    /// The word for this value.
    fn word(self) -> &'static str;

    /// The value that this word stands for.
    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.word() == word)
    }

    /// All words, as a sentence lists them: `"a", "b"`.
    fn listed() -> String {
        let quoted: Vec<String> = Self::ALL.iter().map(|value| format!("{:?}", value.word())).collect();
        quoted.join(", ")
    }
}

macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $value:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])* $value,)+ }

        impl Words for $name {
            const ALL: &'static [Self] = &[$(Self::$value),+];

            fn word(self) -> &'static str {
                match self { $(Self::$value => $word),+ }
            }
        }
    };
}

words! {
    /// The form of a log line.
    LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

words! {
    /// The least severe events that are logged.
    LogLevel {
        /// Failures of the router itself.
        Error = "error",
        /// What an operator should look at.
        Warn = "warn",
        /// The life of the process and of coordinators.
        Info = "info",
        /// The life of every session.
        Debug = "debug",
        /// Every call.
        Trace = "trace",
    }
}

words! {
    /// What is demanded of a coordinator's certificate.
    VerifyWord {
        /// Its own name and a trusted issuer.
        Full = "full",
        /// The cluster's name and a trusted issuer.
        NameOfCluster = "name-of-cluster",
        /// Nothing.
        Nothing = "none",
    }
}

macro_rules! words_of {
    ($type:ty: $($value:ident),+) => {
        impl Words for $type {
            const ALL: &'static [Self] = &[$(Self::$value),+];

            fn word(self) -> &'static str {
                self.as_str()
            }
        }
    };
}

words_of!(Service: Hs2, Beeswax, Hs2Http);
words_of!(Flavor: Impala, Hive, Spark);
words_of!(PolicyName: LeastLoaded, RoundRobin);
words_of!(AdminState: Active, Drain);
words_of!(DrainThen: Leave, Cancel);
words_of!(Stick: Nothing, Source);
words_of!(ClientAuth: Optional, Required);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back_as_its_value() {
        fn check<W: Words + PartialEq + std::fmt::Debug>() {
            assert!(!W::ALL.is_empty());
            for value in W::ALL {
                assert_eq!(W::from_word(value.word()), Some(*value));
            }
            assert_eq!(W::from_word("else"), None);
        }
        check::<Flavor>();
        check::<PolicyName>();
        check::<AdminState>();
        check::<DrainThen>();
        check::<Stick>();
        check::<LogFormat>();
        check::<LogLevel>();
        check::<Service>();
        check::<VerifyWord>();
        check::<ClientAuth>();
    }
}
