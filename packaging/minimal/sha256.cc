// SHA-256 for crypto.js, by libmd. The state of a hash is in an ArrayBuffer, which the garbage collector
// frees.

#include <sha2.h>

#include "env-inl.h"
#include "node_binding.h"
#include "util-inl.h"

namespace node {
namespace {

using v8::ArrayBuffer;
using v8::Context;
using v8::FunctionCallbackInfo;
using v8::Integer;
using v8::Local;
using v8::Object;
using v8::Value;

SHA2_CTX* StateIn(Local<Value> value) {
  CHECK(value->IsArrayBuffer());
  Local<ArrayBuffer> buffer = value.As<ArrayBuffer>();
  CHECK_EQ(buffer->ByteLength(), sizeof(SHA2_CTX));
  return static_cast<SHA2_CTX*>(buffer->Data());
}

void Start(const FunctionCallbackInfo<Value>& args) {
  SHA256Init(StateIn(args[0]));
}

void Update(const FunctionCallbackInfo<Value>& args) {
  CHECK(args[1]->IsArrayBufferView());
  ArrayBufferViewContents<uint8_t> bytes(args[1]);
  SHA256Update(StateIn(args[0]), bytes.data(), bytes.length());
}

void Finish(const FunctionCallbackInfo<Value>& args) {
  CHECK(args[1]->IsArrayBuffer());
  Local<ArrayBuffer> digest = args[1].As<ArrayBuffer>();
  CHECK_EQ(digest->ByteLength(), SHA256_DIGEST_LENGTH);
  SHA256Final(static_cast<uint8_t*>(digest->Data()), StateIn(args[0]));
}

void Initialize(Local<Object> target, Local<Value> unused, Local<Context> context, void* priv) {
  SetMethod(context, target, "start", Start);
  SetMethod(context, target, "update", Update);
  SetMethod(context, target, "finish", Finish);
  target
      ->Set(context,
            FIXED_ONE_BYTE_STRING(Environment::GetCurrent(context)->isolate(), "stateLength"),
            Integer::New(Environment::GetCurrent(context)->isolate(), sizeof(SHA2_CTX)))
      .Check();
}

}  // namespace
}  // namespace node

NODE_BINDING_CONTEXT_AWARE_INTERNAL(hostext_sha256, node::Initialize)
