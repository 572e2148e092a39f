'use strict';

// What hostext uses of node:crypto: createHash('sha256'). Without OpenSSL Node has no such module.

const { ArrayBuffer } = primordials;
const { Buffer } = require('buffer');
const {
  codes: { ERR_CRYPTO_HASH_FINALIZED, ERR_INVALID_ARG_TYPE },
} = require('internal/errors');
const { isArrayBufferView } = require('internal/util/types');
const { finish, start, stateLength, update } = internalBinding('hostext_sha256');

class Hash {
  #state = new ArrayBuffer(stateLength);
  #isFinished = false;

  constructor() {
    start(this.#state);
  }

  update(data, encoding) {
    if (this.#isFinished) throw new ERR_CRYPTO_HASH_FINALIZED();
    const bytes = typeof data === 'string' ? Buffer.from(data, encoding) : data;
    if (!isArrayBufferView(bytes))
      throw new ERR_INVALID_ARG_TYPE('data', ['string', 'Buffer', 'TypedArray', 'DataView'], data);
    update(this.#state, bytes);
    return this;
  }

  digest(encoding) {
    if (this.#isFinished) throw new ERR_CRYPTO_HASH_FINALIZED();
    this.#isFinished = true;
    const digest = new ArrayBuffer(32);
    finish(this.#state, digest);
    const bytes = Buffer.from(digest);
    return encoding === undefined || encoding === 'buffer' ? bytes : bytes.toString(encoding);
  }
}

function createHash(algorithm) {
  // Not an error with a code: only a program that is not hostext gets here.
  if (algorithm !== 'sha256') throw new Error(`the runtime of hostext has SHA-256 only, not ${algorithm}`);
  return new Hash();
}

module.exports = { createHash };
