//! How people name a coordinator.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// A coordinator as people name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its cluster; `None`: whichever has one of that name.
    pub cluster: Option<String>,
    /// Its own name.
    pub name: String,
}

impl FromStr for Named {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.split_once('/') {
            Some((cluster, name)) => Self { cluster: Some(cluster.to_owned()), name: name.to_owned() },
            None => Self { cluster: None, name: text.to_owned() },
        })
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cluster {
            Some(cluster) => write!(f, "{cluster}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}
