//! The body of `POST /batches`, read as Livy's JSON mapper (Jackson with its Scala module) reads it.
//!
//! Scalars become text where text is wanted, of a repeated field the last one counts, an unknown field is
//! refused, what follows the object is not looked at. A wrong shape is refused at once. What Livy accepts
//! here and stumbles over later with a 500 (nulls for lists, cores that are no integers) is remembered, so that
//! a mistake further on is still reported first, and refused at the end with a reason.

use indexmap::IndexMap;

use super::CreateBatch;
use crate::json_reader::{JsonError, Location, Reader, Result, Token};
use crate::{Rejection, java_int};

const REQUEST: &str = "org.apache.livy.server.batch.CreateBatchRequest";
const LIST: &str = "scala.collection.immutable.List<java.lang.String>";
const LIST_BUILDER: &str = "com.fasterxml.jackson.module.scala.deser.GenericFactoryDeserializerResolver$BuilderWrapper";
const MAP: &str = "scala.collection.immutable.Map<java.lang.String,java.lang.String>";
const MAP_BUILDER: &str =
    "com.fasterxml.jackson.module.scala.deser.GenericMapFactoryDeserializerResolver$BuilderWrapper";
const TEXT: &str = "java.lang.String";

/// The fields in the order of Jackson's hash table.
const FIELDS: [&str; 16] = [
    "executorCores",
    "className",
    "conf",
    "driverMemory",
    "name",
    "driverCores",
    "pyFiles",
    "archives",
    "executorMemory",
    "files",
    "jars",
    "proxyUser",
    "numExecutors",
    "file",
    "args",
    "queue",
];

/// Reads the body of `POST /batches`. Bodies are limited in size by the caller.
pub fn parse(body: &[u8]) -> std::result::Result<CreateBatch, Rejection> {
    let mut parser = Parser { reader: Reader::new(body), batch: CreateBatch::default(), doubts: IndexMap::new() };
    parser.request().map_err(|error| Rejection::malformed(error.to_string()))?;
    match parser.doubts.into_values().next() {
        Some(reason) => Err(Rejection::rejected(reason)),
        None => Ok(parser.batch),
    }
}

struct Parser<'a> {
    reader: Reader<'a>,
    batch: CreateBatch,
    /// Why the last value of a field can't be used although its shape is right.
    doubts: IndexMap<String, String>,
}

impl Parser<'_> {
    fn request(&mut self) -> Result<()> {
        match self.reader.root()? {
            None => Err(JsonError::new("No content to map due to end-of-input", Location::NOWHERE)),
            Some(Token::StartObject) => self.fields(),
            Some(Token::Null) => {
                self.doubt("", "the body must be a JSON object, not null".to_owned());
                Ok(())
            }
            Some(other) => self.refuse_root(other),
        }
    }

    fn refuse_root(&mut self, token: Token) -> Result<()> {
        let at = self.reader.token_at();
        let (constructor, value) = match token {
            Token::String => match self.reader.text()? {
                empty if empty.is_empty() => {
                    let message = format!(
                        "Cannot coerce empty String (\"\") to `{REQUEST}` value \
                         (but could if coercion was enabled using `CoercionConfig`)"
                    );
                    return Err(JsonError::new(message, at));
                }
                text => ("String", format!("String value ('{text}')")),
            },
            Token::Integer(text) if text.parse::<i32>().is_ok() => ("int/Int", format!("Number value ({text})")),
            Token::Integer(text) => ("long/Long", format!("Number value ({text})")),
            Token::Float(text) => ("double/Double", format!("Number value ({text})")),
            Token::Bool(value) => ("boolean/Boolean", format!("boolean value ({value})")),
            other => return Err(wrong_shape(REQUEST, &other, at)),
        };
        Err(JsonError::new(no_constructor(REQUEST, constructor, &value), at))
    }

    fn fields(&mut self) -> Result<()> {
        while let Some((name, token)) = self.reader.next_field()? {
            self.doubts.shift_remove(&name);
            self.field(&name, token).map_err(|error| error.within(reference(REQUEST, &name)))?;
        }
        Ok(())
    }

    fn field(&mut self, name: &str, token: Token) -> Result<()> {
        match name {
            "file" => self.batch.file = self.text(token)?,
            "proxyUser" => self.batch.proxy_user = self.text(token)?,
            "className" => self.batch.class_name = self.text(token)?,
            "driverMemory" => self.batch.driver_memory = self.text(token)?,
            "executorMemory" => self.batch.executor_memory = self.text(token)?,
            "queue" => self.batch.queue = self.text(token)?,
            "name" => self.batch.name = self.text(token)?,
            "args" => self.batch.args = self.list(name, &token)?,
            "jars" => self.batch.jars = self.list(name, &token)?,
            "pyFiles" => self.batch.py_files = self.list(name, &token)?,
            "files" => self.batch.files = self.list(name, &token)?,
            "archives" => self.batch.archives = self.list(name, &token)?,
            "driverCores" => self.batch.driver_cores = self.integer(name, &token)?,
            "executorCores" => self.batch.executor_cores = self.integer(name, &token)?,
            "numExecutors" => self.batch.num_executors = self.integer(name, &token)?,
            "conf" => self.batch.conf = self.map(&token)?,
            unknown => return Err(self.unknown_field(unknown)),
        }
        Ok(())
    }

    fn unknown_field(&self, name: &str) -> JsonError {
        let (count, known) = (FIELDS.len(), FIELDS.map(|field| format!("\"{field}\"")).join(", "));
        let message = format!(
            "Unrecognized field \"{name}\" (class {REQUEST}), not marked as ignorable \
             ({count} known properties: {known}])"
        );
        JsonError::new(message, self.reader.here())
    }

    /// Any scalar as text: numbers as they were written.
    fn text(&mut self, token: Token) -> Result<Option<String>> {
        match token {
            Token::String => self.reader.text().map(Some),
            Token::Integer(text) | Token::Float(text) => Ok(Some(text)),
            Token::Bool(value) => Ok(Some(value.to_string())),
            Token::Null => Ok(None),
            other => Err(wrong_shape(TEXT, &other, self.reader.token_at())),
        }
    }

    /// An integer, or text that is one: Airflow's clients may send either.
    fn integer(&mut self, name: &str, token: &Token) -> Result<Option<i32>> {
        let read = match token {
            Token::Null => return Ok(None),
            Token::Integer(text) => java_int::parse(text).ok(),
            Token::String => java_int::parse(&self.reader.text()?).ok(),
            other => {
                self.reader.skip(other)?;
                None
            }
        };
        if read.is_none() {
            self.doubt(name, format!("{name} must be an integer between {} and {}", i32::MIN, i32::MAX));
        }
        Ok(read)
    }

    fn list(&mut self, name: &str, token: &Token) -> Result<Vec<String>> {
        match token {
            Token::StartArray => {}
            Token::Null => {
                self.doubt(name, format!("{name} must be a list, not null"));
                return Ok(Vec::new());
            }
            other => return Err(wrong_shape(LIST, other, self.reader.token_at())),
        }
        let mut list = Vec::new();
        while let Some(token) = self.reader.next_element()? {
            let index = list.len();
            let element = self.text(token).map_err(|error| error.within(format!("{LIST_BUILDER}[{index}]")))?;
            if element.is_none() {
                self.doubt(name, format!("{name} must not contain null"));
            }
            list.push(element.unwrap_or_default());
        }
        Ok(list)
    }

    fn map(&mut self, token: &Token) -> Result<IndexMap<String, Option<String>>> {
        let at = self.reader.token_at();
        match token {
            Token::StartObject => {}
            Token::Null => {
                self.doubt("conf", "conf must be an object, not null".to_owned());
                return Ok(IndexMap::new());
            }
            Token::String => {
                let value = format!("String value ('{}')", self.reader.text()?);
                return Err(JsonError::new(no_constructor("scala.collection.immutable.Map", "String", &value), at));
            }
            other => return Err(wrong_shape(MAP, other, at)),
        }
        let mut map = IndexMap::new();
        while let Some((key, token)) = self.reader.next_field()? {
            let value = self.text(token).map_err(|error| error.within(reference(MAP_BUILDER, &key)))?;
            map.insert(key, value);
        }
        Ok(map)
    }

    fn doubt(&mut self, field: &str, reason: String) {
        self.doubts.entry(field.to_owned()).or_insert(reason);
    }
}

fn reference(class: &str, field: &str) -> String {
    format!("{class}[\"{field}\"]")
}

fn no_constructor(class: &str, argument: &str, value: &str) -> String {
    format!(
        "Cannot construct instance of `{class}` (although at least one Creator exists): \
         no {argument}-argument constructor/factory method to deserialize from {value}"
    )
}

fn wrong_shape(wanted: &str, token: &Token, at: Location) -> JsonError {
    let (shape, token) = match token {
        Token::StartObject => ("Object value", "START_OBJECT"),
        Token::StartArray => ("Array value", "START_ARRAY"),
        Token::String => ("String value", "VALUE_STRING"),
        Token::Integer(_) => ("Integer value", "VALUE_NUMBER_INT"),
        Token::Float(_) => ("Floating-point value", "VALUE_NUMBER_FLOAT"),
        Token::Bool(true) => ("Boolean value", "VALUE_TRUE"),
        Token::Bool(false) => ("Boolean value", "VALUE_FALSE"),
        Token::Null => ("Null value", "VALUE_NULL"),
    };
    JsonError::new(format!("Cannot deserialize value of type `{wanted}` from {shape} (token `JsonToken.{token}`)"), at)
}
