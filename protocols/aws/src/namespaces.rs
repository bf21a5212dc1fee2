//! Accounts and regions are namespaces: each has a virtual host of its own.

use crossdock_common::Name;

use crate::http::Request;
use crate::wire::{Decoded, Service, decode};

/// What the names of virtual hosts begin with that are not the home.
pub const VHOST_PREFIX: &str = "aws/";
/// The virtual host of the account and region that the configuration names.
const HOME: &str = "/";
/// Longest name of a region.
const REGION_BYTES_MAX: usize = 32;

/// Which virtual host is whose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespaces {
    /// 12 digits: the account that is at home here.
    pub account: String,
    /// The region that is at home here, which is that of callers that sign for none.
    pub region: String,
    /// An account's resources are the same in every region.
    pub regions_together: bool,
}

/// One account's resources of one region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Where they are.
    pub vhost: Name,
    /// 12 digits.
    pub account: String,
    /// Of resources whose callers sign for none.
    pub region: String,
    /// Callers of every region see them.
    pub regions_together: bool,
}

impl Namespaces {
    /// That of an account and a region; without them, that of this place. `None` if such an account or region cannot be.
    pub fn of(&self, account: Option<&str>, region: Option<&str>) -> Option<Namespace> {
        let account = account.unwrap_or(&self.account);
        let region = region.filter(|_| !self.regions_together).unwrap_or(&self.region);
        if region != self.region && !is_region(region) || !is_account(account) {
            return None;
        }
        let vhost = match (account == self.account, region == self.region) {
            (true, true) => Name::from(HOME),
            (false, true) => Name::from(format!("{VHOST_PREFIX}{account}")),
            (_, false) => Name::from(format!("{VHOST_PREFIX}{account}/{region}")),
        };
        let (account, region) = (account.to_owned(), region.to_owned());
        Some(Namespace { vhost, account, region, regions_together: self.regions_together })
    }

    /// Whether that is the account and region that the configuration names.
    pub fn is_home(&self, account: Option<&str>, region: Option<&str>) -> bool {
        let is_here = |region: &str| self.regions_together || region == self.region;
        account.is_none_or(|account| account == self.account) && region.is_none_or(is_here)
    }

    /// That of a virtual host, if it is one.
    pub fn of_vhost(&self, vhost: &str) -> Option<Namespace> {
        if vhost == HOME {
            return self.of(None, None);
        }
        let (account, region) = split(vhost)?;
        self.of(Some(account), region).filter(|namespace| namespace.vhost.as_str() == vhost)
    }
}

/// The virtual host whose permissions hold in this one, too: a user's are those of the account, whatever the region. `home` is the
/// account that is at home.
pub fn parent_of(vhost: &str, home: &str) -> Option<String> {
    match split(vhost)? {
        (account, Some(_)) if account == home => Some(HOME.to_owned()),
        (account, Some(_)) => Some(format!("{VHOST_PREFIX}{account}")),
        (_, None) => None,
    }
}

fn split(vhost: &str) -> Option<(&str, Option<&str>)> {
    let name = vhost.strip_prefix(VHOST_PREFIX)?;
    Some(name.split_once('/').map_or((name, None), |(account, region)| (account, Some(region))))
}

/// The account and region of the resource that a request of SNS is about. Who follows a link of a message signs for none.
pub fn place_of(request: &Request) -> Option<(String, String)> {
    let Decoded { service: Service::Sns, fields, .. } = decode(request).ok()? else { return None };
    let arn = ["TopicArn", "SubscriptionArn"].into_iter().find_map(|name| fields.view().text(name).ok().flatten())?;
    let mut parts = arn.split(':').skip(3);
    let (region, account) = (parts.next()?, parts.next()?);
    Some((account.to_owned(), region.to_owned()))
}

/// Whether that is an account's number.
pub fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

pub(crate) fn is_region(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=REGION_BYTES_MAX).contains(&text.len()) && text.bytes().all(legal)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const HOME_ACCOUNT: &str = "000000000000";
    const OTHER: &str = "111111111111";

    fn namespaces(regions_together: bool) -> Namespaces {
        Namespaces { account: HOME_ACCOUNT.to_owned(), region: "us-east-1".to_owned(), regions_together }
    }

    /// Where tests are.
    pub(crate) fn home() -> Namespace {
        namespaces(false).of(None, None).unwrap()
    }

    #[test]
    fn every_account_and_region_has_a_vhost() {
        let apart = namespaces(false);
        let vhost = |namespaces: &Namespaces, account, region| {
            namespaces.of(account, region).map(|found| found.vhost.as_str().to_owned())
        };
        for (account, region, expected) in [
            (None, None, "/"),
            (Some(HOME_ACCOUNT), Some("us-east-1"), "/"),
            (None, Some("eu-west-1"), "aws/000000000000/eu-west-1"),
            (Some(OTHER), None, "aws/111111111111"),
            (Some(OTHER), Some("us-east-1"), "aws/111111111111"),
            (Some(OTHER), Some("eu-west-1"), "aws/111111111111/eu-west-1"),
        ] {
            assert_eq!(vhost(&apart, account, region).as_deref(), Some(expected));
            assert_eq!(apart.is_home(account, region), expected == "/");
            assert_eq!(apart.of_vhost(expected), apart.of(account, region));
        }
        let together = namespaces(true);
        assert_eq!(vhost(&together, None, Some("eu-west-1")).as_deref(), Some("/"));
        assert_eq!(vhost(&together, Some(OTHER), Some("eu-west-1")).as_deref(), Some("aws/111111111111"));
        assert_eq!(together.of_vhost("aws/111111111111/eu-west-1"), None);
    }

    #[test]
    fn what_cannot_be_an_account_or_region_has_none() {
        let apart = namespaces(false);
        for (account, region) in
            [("1", "eu-west-1"), (OTHER, ""), (OTHER, "a/b"), (OTHER, "A"), (OTHER, &"a".repeat(33))]
        {
            assert_eq!(apart.of(Some(account), Some(region)), None, "{account} {region}");
        }
        for vhost in ["team", "aws/", "aws/1", "aws/000000000000", "aws/111111111111/us-east-1", "aws/111111111111/a/b"]
        {
            assert_eq!(apart.of_vhost(vhost), None, "{vhost}");
        }
    }

    #[test]
    fn permissions_are_those_of_the_account() {
        let parent = |vhost| parent_of(vhost, HOME_ACCOUNT);
        assert_eq!(parent("aws/000000000000/eu-west-1").as_deref(), Some("/"));
        assert_eq!(parent("aws/111111111111/eu-west-1").as_deref(), Some("aws/111111111111"));
        assert!([parent("aws/111111111111"), parent("/"), parent("team/a")].iter().all(Option::is_none));
    }
}
