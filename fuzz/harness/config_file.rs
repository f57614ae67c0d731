//! A config file and the environment beside it.

use std::io::Write as _;

use quotagraph::config;

use super::sentence::check_sentence;

/// Loads the file and everything that it names, and checks that what was taken once is taken again.
pub fn load(input: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(input).expect("a file that can be written");
    let env = || environment(input);
    let read = config::load(Some(file.path()), env()).and_then(|config| {
        config.check().expect("what was loaded is checked");
        let listed = config::list_tenants(&config).expect("the tenants of what was loaded");
        let tenants = config::load_tenants(&config, env())?;
        assert_eq!(tenants.len(), listed.len());
        let again = config::Watch::new(&config).read(true, env())?.tenants.expect("all was asked for")?;
        assert_eq!(again.len(), tenants.len());
        Ok(())
    });
    if let Err(error) = read {
        check_sentence(&error.to_string());
    }
}

/// The lines `#NAME=value` at the beginning, which are comments to the file.
fn environment(input: &[u8]) -> impl Iterator<Item = (String, String)> {
    let text = String::from_utf8_lossy(input).into_owned();
    let variables = text.lines().map_while(|line| {
        let (name, value) = line.strip_prefix('#')?.split_once('=')?;
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        is_name.then(|| (name.to_owned(), value.to_owned()))
    });
    variables.collect::<Vec<_>>().into_iter()
}
