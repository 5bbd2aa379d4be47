//! Images and files as dialects write them: data URLs, base64 and plain text.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::turns::{FileSource, ImageSource};

/// The media type of documents that every vendor reads.
pub(super) const PDF: &str = "application/pdf";

/// The media type of plain text.
pub(super) const PLAIN: &str = "text/plain";

/// Reads the address of an image, which may hold the image itself.
pub(super) fn image(url: Cow<'_, str>) -> ImageSource<'_> {
    match data_url(&url) {
        Some((media, data)) => {
            ImageSource::Data { media: Cow::Owned(media.to_owned()), data: Cow::Owned(data.to_owned()) }
        }
        None => ImageSource::Url(url),
    }
}

/// Writes the address of an image.
pub(super) fn image_url<'s>(source: &'s ImageSource<'_>) -> Cow<'s, str> {
    match source {
        ImageSource::Url(url) => Cow::Borrowed(url),
        ImageSource::Data { media, data } => Cow::Owned(format!("data:{media};base64,{data}")),
    }
}

/// Reads OpenAI's `file_data`: a data URL, or base64 alone, whose kind the file's name tells.
pub(super) fn file<'a>(data: Cow<'a, str>, name: Option<&str>) -> Option<FileSource<'a>> {
    let Some((media, inner)) = data_url(&data) else {
        let pdf = name.is_some_and(|name| name.to_ascii_lowercase().ends_with(".pdf"));
        return (pdf && !data.starts_with("data:"))
            .then_some(FileSource::Data { media: Cow::Borrowed(PDF), data });
    };
    if media == PLAIN
        && let Some(text) = STANDARD.decode(inner).ok().and_then(|bytes| String::from_utf8(bytes).ok())
    {
        return Some(FileSource::Text(Cow::Owned(text)));
    }
    Some(FileSource::Data { media: Cow::Owned(media.to_owned()), data: Cow::Owned(inner.to_owned()) })
}

/// Writes OpenAI's `file_data`.
pub(super) fn file_data(media: &str, data: &str) -> String {
    format!("data:{media};base64,{data}")
}

/// Writes OpenAI's `file_data` of a text.
pub(super) fn text_data(text: &str) -> String {
    file_data(PLAIN, &STANDARD.encode(text))
}

/// The name of a file that came without, since OpenAI wants one.
pub(super) fn name_of(media: &str) -> &'static str {
    match media {
        PDF => "document.pdf",
        PLAIN => "document.txt",
        _ => "document",
    }
}

/// Splits a data URL in base64 into media type and data; parameters such as a charset fall.
fn data_url(url: &str) -> Option<(&str, &str)> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    let media = head.strip_suffix(";base64")?;
    let media = media.split(';').next().unwrap_or_default();
    (!media.is_empty()).then_some((media, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        let check = |url: &str, source: ImageSource<'_>| {
            assert_eq!(image(Cow::Borrowed(url)), source);
            assert_eq!(image_url(&source), url);
        };
        check("https://a.example/b.png", ImageSource::Url(Cow::Borrowed("https://a.example/b.png")));
        check("data:image/svg+xml,<svg/>", ImageSource::Url(Cow::Borrowed("data:image/svg+xml,<svg/>")));
        let data = ImageSource::Data { media: Cow::Borrowed("image/png"), data: Cow::Borrowed("aGk=") };
        check("data:image/png;base64,aGk=", data);
    }

    #[test]
    fn a_files_kind_is_known_by_its_url_or_its_name() {
        let check = |data: &'static str, name: Option<&str>, source: Option<FileSource<'static>>| {
            assert_eq!(file(Cow::Borrowed(data), name), source, "{data} {name:?}");
        };
        let pdf = || FileSource::Data { media: Cow::Borrowed(PDF), data: Cow::Borrowed("aGk=") };
        check("data:application/pdf;base64,aGk=", None, Some(pdf()));
        check("aGk=", Some("A.PDF"), Some(pdf()));
        check("aGk=", Some("a.csv"), None);
        check("aGk=", None, None);
        check("data:text/plain;charset=utf-8;base64,aGk=", None, Some(FileSource::Text(Cow::Borrowed("hi"))));
        check("data:nonsense", Some("a.pdf"), None);
        assert_eq!(text_data("hi"), "data:text/plain;base64,aGk=");
    }
}
