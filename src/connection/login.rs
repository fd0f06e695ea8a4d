//! The login on a connection that the query library can't open: the walsender's.
//!
//! tokio-postgres can't send the start-up parameter `replication` and knows no copy-both mode, so the replication
//! stream is logged in here, with the same wire library underneath (PostgreSQL documentation, "Message Flow").

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::{md5_hash, sasl};
use postgres_protocol::message::backend::{AuthenticationSaslBody, Message};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::cause::{Stage, Trouble};
pub use super::server_error::server_error;
use super::settings::{ChannelBindingMode, Settings};
use super::stream::PgStream;

/// Sends the start-up message with `parameters` beside user and database, authenticates, and reads until the server
/// is ready. Returns the stream and whatever was read beyond.
///
/// # Errors
/// The cause, unexplained: the connector explains it, because it knows the attempts before.
pub(super) async fn log_in(
    mut stream: PgStream,
    settings: &Settings,
    parameters: &[(&str, &str)],
) -> Result<(PgStream, BytesMut), Trouble> {
    let mut out = BytesMut::new();
    let fixed =
        [("user", settings.user.as_str()), ("database", settings.database.as_str()), ("client_encoding", "UTF8")];
    frontend::startup_message(fixed.into_iter().chain(parameters.iter().copied()), &mut out).map_err(failed)?;
    send(&mut stream, &mut out).await?;

    let mut input = BytesMut::with_capacity(8 * 1024);
    let mut bound = false;
    loop {
        match receive(&mut stream, &mut input).await? {
            Message::AuthenticationOk => {
                if settings.channel_binding == ChannelBindingMode::Require && !bound {
                    return Err(Trouble::ChannelBinding);
                }
            }
            Message::BackendKeyData(_) | Message::ParameterStatus(_) | Message::NoticeResponse(_) => {}
            Message::AuthenticationCleartextPassword | Message::AuthenticationMd5Password(_)
                if settings.channel_binding == ChannelBindingMode::Require =>
            {
                return Err(Trouble::ChannelBinding);
            }
            Message::AuthenticationCleartextPassword => {
                let password = password(settings)?;
                frontend::password_message(password.as_bytes(), &mut out).map_err(failed)?;
                send(&mut stream, &mut out).await?;
            }
            Message::AuthenticationMd5Password(body) => {
                let hash = md5_hash(settings.user.as_bytes(), password(settings)?.as_bytes(), body.salt());
                frontend::password_message(hash.as_bytes(), &mut out).map_err(failed)?;
                send(&mut stream, &mut out).await?;
            }
            Message::AuthenticationSasl(body) => bound = scram(&mut stream, &mut input, &body, settings).await?,
            Message::ReadyForQuery(_) => return Ok((stream, input)),
            Message::ErrorResponse(body) => {
                return Err(Trouble::Server(Box::new(server_error(body.fields()).map_err(failed)?)));
            }
            _ => return Err(Trouble::AuthMethod),
        }
    }
}

/// SCRAM-SHA-256, bound to the TLS channel where there is one (RFC 5802, RFC 7677). Returns whether it was bound.
async fn scram(
    stream: &mut PgStream,
    input: &mut BytesMut,
    offered: &AuthenticationSaslBody,
    settings: &Settings,
) -> Result<bool, Trouble> {
    let (mut plain, mut plus) = (false, false);
    let mut mechanisms = offered.mechanisms();
    while let Some(mechanism) = mechanisms.next().map_err(failed)? {
        plain |= mechanism == sasl::SCRAM_SHA_256;
        plus |= mechanism == sasl::SCRAM_SHA_256_PLUS;
    }
    let (mechanism, binding) = match stream.end_point() {
        Some(hash) if plus => (sasl::SCRAM_SHA_256_PLUS, sasl::ChannelBinding::tls_server_end_point(hash.to_vec())),
        Some(_) if plain => (sasl::SCRAM_SHA_256, sasl::ChannelBinding::unrequested()),
        None if plain => (sasl::SCRAM_SHA_256, sasl::ChannelBinding::unsupported()),
        _ => return Err(Trouble::AuthMethod),
    };
    let bound = mechanism == sasl::SCRAM_SHA_256_PLUS;
    if settings.channel_binding == ChannelBindingMode::Require && !bound {
        return Err(Trouble::ChannelBinding);
    }
    let mut exchange = sasl::ScramSha256::new(password(settings)?.as_bytes(), binding);
    let mut out = BytesMut::new();
    frontend::sasl_initial_response(mechanism, exchange.message(), &mut out).map_err(failed)?;
    send(stream, &mut out).await?;
    match receive(stream, input).await? {
        Message::AuthenticationSaslContinue(body) => exchange.update(body.data()).map_err(|error| unproven(&error))?,
        Message::ErrorResponse(body) => {
            return Err(Trouble::Server(Box::new(server_error(body.fields()).map_err(failed)?)));
        }
        _ => return Err(Trouble::AuthMethod),
    }
    frontend::sasl_response(exchange.message(), &mut out).map_err(failed)?;
    send(stream, &mut out).await?;
    match receive(stream, input).await? {
        Message::AuthenticationSaslFinal(body) => {
            exchange.finish(body.data()).map_err(|error| unproven(&error)).map(|()| bound)
        }
        Message::ErrorResponse(body) => Err(Trouble::Server(Box::new(server_error(body.fields()).map_err(failed)?))),
        _ => Err(Trouble::AuthMethod),
    }
}

fn password(settings: &Settings) -> Result<&str, Trouble> {
    match &settings.password {
        Some(password) if !password.is_empty() => Ok(password.reveal()),
        _ => Err(Trouble::PasswordMissing),
    }
}

async fn send(stream: &mut PgStream, out: &mut BytesMut) -> Result<(), Trouble> {
    stream.write_all(&out.split()).await.map_err(failed)?;
    stream.flush().await.map_err(failed)
}

async fn receive(stream: &mut PgStream, input: &mut BytesMut) -> Result<Message, Trouble> {
    loop {
        if let Some(message) = Message::parse(input).map_err(failed)? {
            return Ok(message);
        }
        if stream.read_buf(input).await.map_err(failed)? == 0 {
            return Err(failed(std::io::ErrorKind::UnexpectedEof.into()));
        }
    }
}

/// The other side did not prove that it knows the password, or asked for something absurd.
fn unproven(error: &std::io::Error) -> Trouble {
    Trouble::Authentication(error.to_string())
}

fn failed(error: std::io::Error) -> Trouble {
    Trouble::Io(Stage::Login, error)
}
