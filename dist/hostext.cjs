#!/usr/lib/hostext/node
/******/ (() => { // webpackBootstrap
/******/ 	"use strict";
/******/ 	var __webpack_modules__ = ({

/***/ 994:
/***/ ((module) => {



function hasKey(obj, keys) {
	var o = obj;
	keys.slice(0, -1).forEach(function (key) {
		o = o[key] || {};
	});

	var key = keys[keys.length - 1];
	return key in o;
}

function isNumber(x) {
	if (typeof x === 'number') { return true; }
	if ((/^0x[0-9a-f]+$/i).test(x)) { return true; }
	return (/^[-+]?(?:\d+(?:\.\d*)?|\.\d+)(e[-+]?\d+)?$/).test(x);
}

function isConstructorOrProto(obj, key) {
	return (key === 'constructor' && typeof obj[key] === 'function') || key === '__proto__';
}

module.exports = function (args, opts) {
	if (!opts) { opts = {}; }

	var flags = {
		bools: {},
		strings: {},
		unknownFn: null,
	};

	if (typeof opts.unknown === 'function') {
		flags.unknownFn = opts.unknown;
	}

	if (typeof opts.boolean === 'boolean' && opts.boolean) {
		flags.allBools = true;
	} else {
		[].concat(opts.boolean).filter(Boolean).forEach(function (key) {
			flags.bools[key] = true;
		});
	}

	var aliases = {};

	function aliasIsBoolean(key) {
		return aliases[key].some(function (x) {
			return flags.bools[x];
		});
	}

	Object.keys(opts.alias || {}).forEach(function (key) {
		aliases[key] = [].concat(opts.alias[key]);
		aliases[key].forEach(function (x) {
			aliases[x] = [key].concat(aliases[key].filter(function (y) {
				return x !== y;
			}));
		});
	});

	[].concat(opts.string).filter(Boolean).forEach(function (key) {
		flags.strings[key] = true;
		if (aliases[key]) {
			[].concat(aliases[key]).forEach(function (k) {
				flags.strings[k] = true;
			});
		}
	});

	var defaults = opts.default || {};

	var argv = { _: [] };

	function argDefined(key, arg) {
		return (flags.allBools && (/^--[^=]+$/).test(arg))
			|| flags.strings[key]
			|| flags.bools[key]
			|| aliases[key];
	}

	function setKey(obj, keys, value) {
		var o = obj;
		for (var i = 0; i < keys.length - 1; i++) {
			var key = keys[i];
			if (isConstructorOrProto(o, key)) { return; }
			if (o[key] === undefined) { o[key] = {}; }
			if (
				o[key] === Object.prototype
				|| o[key] === Number.prototype
				|| o[key] === String.prototype
			) {
				o[key] = {};
			}
			if (o[key] === Array.prototype) { o[key] = []; }
			o = o[key];
		}

		var lastKey = keys[keys.length - 1];
		if (isConstructorOrProto(o, lastKey)) { return; }
		if (
			o === Object.prototype
			|| o === Number.prototype
			|| o === String.prototype
		) {
			o = {};
		}
		if (o === Array.prototype) { o = []; }
		if (o[lastKey] === undefined || flags.bools[lastKey] || typeof o[lastKey] === 'boolean') {
			o[lastKey] = value;
		} else if (Array.isArray(o[lastKey])) {
			o[lastKey].push(value);
		} else {
			o[lastKey] = [o[lastKey], value];
		}
	}

	function setArg(key, val, arg) {
		if (arg && flags.unknownFn && !argDefined(key, arg)) {
			if (flags.unknownFn(arg) === false) { return; }
		}

		var value = !flags.strings[key] && isNumber(val)
			? Number(val)
			: val;
		setKey(argv, key.split('.'), value);

		(aliases[key] || []).forEach(function (x) {
			setKey(argv, x.split('.'), value);
		});
	}

	Object.keys(flags.bools).forEach(function (key) {
		setArg(key, defaults[key] === undefined ? false : defaults[key]);
	});

	var notFlags = [];

	if (args.indexOf('--') !== -1) {
		notFlags = args.slice(args.indexOf('--') + 1);
		args = args.slice(0, args.indexOf('--'));
	}

	for (var i = 0; i < args.length; i++) {
		var arg = args[i];
		var key;
		var next;

		if ((/^--.+=/).test(arg)) {
			// Using [\s\S] instead of . because js doesn't support the
			// 'dotall' regex modifier. See:
			// http://stackoverflow.com/a/1068308/13216
			var m = arg.match(/^--([^=]+)=([\s\S]*)$/);
			key = m[1];
			var value = m[2];
			if (flags.bools[key]) {
				value = value !== 'false';
			}
			setArg(key, value, arg);
		} else if ((/^--no-.+/).test(arg)) {
			key = arg.match(/^--no-(.+)/)[1];
			setArg(key, false, arg);
		} else if ((/^--.+/).test(arg)) {
			key = arg.match(/^--(.+)/)[1];
			next = args[i + 1];
			if (
				next !== undefined
				&& !(/^(-|--)[^-]/).test(next)
				&& !flags.bools[key]
				&& !flags.allBools
				&& (aliases[key] ? !aliasIsBoolean(key) : true)
			) {
				setArg(key, next, arg);
				i += 1;
			} else if ((/^(true|false)$/).test(next)) {
				setArg(key, next === 'true', arg);
				i += 1;
			} else {
				setArg(key, flags.strings[key] ? '' : true, arg);
			}
		} else if ((/^-[^-]+/).test(arg)) {
			var letters = arg.slice(1, -1).split('');

			var broken = false;
			for (var j = 0; j < letters.length; j++) {
				next = arg.slice(j + 2);

				if (next === '-') {
					setArg(letters[j], next, arg);
					continue;
				}

				if ((/[A-Za-z]/).test(letters[j]) && next[0] === '=') {
					setArg(letters[j], next.slice(1), arg);
					broken = true;
					break;
				}

				if (
					(/[A-Za-z]/).test(letters[j])
					&& (/-?\d+(\.\d*)?(e-?\d+)?$/).test(next)
				) {
					setArg(letters[j], next, arg);
					broken = true;
					break;
				}

				if (letters[j + 1] && letters[j + 1].match(/\W/)) {
					setArg(letters[j], arg.slice(j + 2), arg);
					broken = true;
					break;
				} else {
					setArg(letters[j], flags.strings[letters[j]] ? '' : true, arg);
				}
			}

			key = arg.slice(-1)[0];
			if (!broken && key !== '-') {
				if (
					args[i + 1]
					&& !(/^(-|--)[^-]/).test(args[i + 1])
					&& !flags.bools[key]
					&& (aliases[key] ? !aliasIsBoolean(key) : true)
				) {
					setArg(key, args[i + 1], arg);
					i += 1;
				} else if (args[i + 1] && (/^(true|false)$/).test(args[i + 1])) {
					setArg(key, args[i + 1] === 'true', arg);
					i += 1;
				} else {
					setArg(key, flags.strings[key] ? '' : true, arg);
				}
			}
		} else {
			if (!flags.unknownFn || flags.unknownFn(arg) !== false) {
				argv._.push(flags.strings._ || !isNumber(arg) ? arg : Number(arg));
			}
			if (opts.stopEarly) {
				argv._.push.apply(argv._, args.slice(i + 1));
				break;
			}
		}
	}

	Object.keys(defaults).forEach(function (k) {
		if (!hasKey(argv, k.split('.'))) {
			setKey(argv, k.split('.'), defaults[k]);

			(aliases[k] || []).forEach(function (x) {
				setKey(argv, x.split('.'), defaults[k]);
			});
		}
	});

	if (opts['--']) {
		argv['--'] = notFlags.slice();
	} else {
		notFlags.forEach(function (k) {
			argv._.push(k);
		});
	}

	return argv;
};


/***/ }),

/***/ 24:
/***/ ((module) => {

module.exports = require("node:fs");

/***/ }),

/***/ 760:
/***/ ((module) => {

module.exports = require("node:path");

/***/ })

/******/ 	});
/************************************************************************/
/******/ 	// The module cache
/******/ 	var __webpack_module_cache__ = {};
/******/ 	
/******/ 	// The require function
/******/ 	function __nccwpck_require__(moduleId) {
/******/ 		// Check if module is in cache
/******/ 		var cachedModule = __webpack_module_cache__[moduleId];
/******/ 		if (cachedModule !== undefined) {
/******/ 			return cachedModule.exports;
/******/ 		}
/******/ 		// Create a new module (and put it into the cache)
/******/ 		var module = __webpack_module_cache__[moduleId] = {
/******/ 			// no module.id needed
/******/ 			// no module.loaded needed
/******/ 			exports: {}
/******/ 		};
/******/ 	
/******/ 		// Execute the module function
/******/ 		var threw = true;
/******/ 		try {
/******/ 			__webpack_modules__[moduleId](module, module.exports, __nccwpck_require__);
/******/ 			threw = false;
/******/ 		} finally {
/******/ 			if(threw) delete __webpack_module_cache__[moduleId];
/******/ 		}
/******/ 	
/******/ 		// Return the exports of the module
/******/ 		return module.exports;
/******/ 	}
/******/ 	
/************************************************************************/
/******/ 	/* webpack/runtime/asset-relocator-loader */
/******/ 	if (typeof __nccwpck_require__ !== 'undefined') __nccwpck_require__.ab = __dirname + "/";
/******/ 	
/************************************************************************/
var __webpack_exports__ = {};

var __create = Object.create;
var __defProp = Object.defineProperty;
var __getOwnPropDesc = Object.getOwnPropertyDescriptor;
var __getOwnPropNames = Object.getOwnPropertyNames;
var __getProtoOf = Object.getPrototypeOf;
var __hasOwnProp = Object.prototype.hasOwnProperty;
var __esm = (fn, res, err) => function __init() {
  if (err) throw err[0];
  try {
    return fn && (res = (0, fn[__getOwnPropNames(fn)[0]])(fn = 0)), res;
  } catch (e) {
    throw err = [e], e;
  }
};
var __export = (target, all) => {
  for (var name in all)
    __defProp(target, name, { get: all[name], enumerable: true });
};
var __copyProps = (to, from, except, desc) => {
  if (from && typeof from === "object" || typeof from === "function") {
    for (let key of __getOwnPropNames(from))
      if (!__hasOwnProp.call(to, key) && key !== except)
        __defProp(to, key, { get: () => from[key], enumerable: !(desc = __getOwnPropDesc(from, key)) || desc.enumerable });
  }
  return to;
};
var __toESM = (mod, isNodeMode, target) => (target = mod != null ? __create(__getProtoOf(mod)) : {}, __copyProps(
  // If the importer is in node compatibility mode or this is not an ESM
  // file that has been converted to a CommonJS file using a Babel-
  // compatible transform (i.e. "__esModule" has not been set), then set
  // "default" to the CommonJS "module.exports" for node compatibility.
  isNodeMode || !mod || !mod.__esModule ? __defProp(target, "default", { value: mod, enumerable: true }) : target,
  mod
));

// src/printable.ts
function printable(text, longest = 300) {
  const line2 = text.replace(/[\x00-\x1f\x7f-\x9f\\\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g, (c) => {
    return `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
  return line2.length > longest ? `${line2.slice(0, longest)}…` : line2;
}
var init_printable = __esm({
  "src/printable.ts"() {
    "use strict";
  }
});

// src/extension.ts
function readRank(labels) {
  const feature = FEATURE_LABELS.some((label) => isSet(labels.get(label)));
  const imageClass = labels.get(CLASS_LABEL);
  if (!feature && imageClass !== "overlay") return void 0;
  if (imageClass !== void 0 && imageClass !== "overlay") {
    return { why: `${CLASS_LABEL}=${printable(imageClass)} is not an extension` };
  }
  const override = labels.get(OVERRIDE_LABEL);
  if (override !== void 0) {
    if (/^[+-]?\d{1,15}$/.test(override)) return { rank: { kind: "override", priority: Number(override) } };
    return {
      rank: { kind: "override", priority: Number.POSITIVE_INFINITY },
      warning: `${OVERRIDE_LABEL}=${printable(override)} is not an integer: lowest priority`
    };
  }
  return { rank: { kind: imageClass === "overlay" ? "overlay" : "feature" } };
}
function isSet(value) {
  return value !== void 0 && !["", "0", "false", "no", "off"].includes(value.trim().toLowerCase());
}
function compareExtensions(a, b) {
  const byKind = KIND_ORDER[a.rank.kind] - KIND_ORDER[b.rank.kind];
  if (byKind) return byKind;
  if (a.rank.kind === "override" && b.rank.kind === "override" && a.rank.priority !== b.rank.priority) {
    return a.rank.priority < b.rank.priority ? -1 : 1;
  }
  return compareText(a.container.name, b.container.name) || compareText(a.container.id, b.container.id);
}
function compareText(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}
function describeContainer({ name, image, id }) {
  return `${printable(name)} (${printable(image)}, ${id.slice(0, 12)})`;
}
var FEATURE_LABELS, CLASS_LABEL, OVERRIDE_LABEL, KIND_ORDER;
var init_extension = __esm({
  "src/extension.ts"() {
    "use strict";
    init_printable();
    FEATURE_LABELS = ["io.balena.features.host-extension", "balena.io.features.host-extension"];
    CLASS_LABEL = "io.balena.image.class";
    OVERRIDE_LABEL = "io.balena.image.override";
    KIND_ORDER = { override: 0, feature: 1, overlay: 2 };
  }
});

// src/files.ts
function inputRoot(environment) {
  return { prefix: (environment.HOSTEXT_ROOT ?? "").replace(/\/+$/, "") };
}
function readText(root, path, largest = 1 << 20) {
  try {
    const buffer = (0, import_node_fs.readFileSync)(root.prefix + path);
    if (buffer.length > largest) return new Error(`${path}: ${buffer.length} bytes, more than ${largest}`);
    return buffer.toString("utf8");
  } catch (error) {
    const code = error.code;
    if (code === "ENOENT" || code === "ENOTDIR") return void 0;
    return new Error(`${path}: ${reason(error)}`);
  }
}
function listDirectory(root, path) {
  try {
    return (0, import_node_fs.readdirSync)(root.prefix + path).sort();
  } catch (error) {
    const code = error.code;
    if (code === "ENOENT" || code === "ENOTDIR") return [];
    throw new Error(`${path}: ${reason(error)}`);
  }
}
function statLink(root, path) {
  return (0, import_node_fs.lstatSync)(root.prefix + path, { throwIfNoEntry: false });
}
function reason(error) {
  if (!(error instanceof Error)) return String(error);
  return error.message.replace(/^[A-Z0-9]+: /, "").replace(/, \w+( '.*')?$/, "");
}
var import_node_fs;
var init_files = __esm({
  "src/files.ts"() {
    "use strict";
    import_node_fs = __nccwpck_require__(24);
  }
});

// src/engine/container.ts
function readContainers(root, dataRoot) {
  return listDirectory(root, `${dataRoot}/containers`).map((id) => readContainer(root, dataRoot, id));
}
function readContainer(root, dataRoot, id) {
  const source = `${dataRoot}/containers/${id}/config.v2.json`;
  const unreadable = (problem) => ({ source: printable(source), problem });
  if (!CONTAINER_ID.test(id)) return unreadable("the directory is not named after a container");
  const text = readText(root, source, LARGEST_CONFIG);
  if (text === void 0) return unreadable("no such file");
  if (text instanceof Error) return unreadable(text.message.slice(source.length + 2));
  let json;
  try {
    json = JSON.parse(text);
  } catch {
    return unreadable(`not valid JSON, ${text.length} characters: truncated or damaged`);
  }
  if (!isObject(json)) return unreadable("not a JSON object");
  const config = json.Config;
  const state = json.State;
  if (json.ID !== id) return unreadable(`ID is ${printable(String(json.ID))}`);
  if (typeof json.Name !== "string" || json.Name.length < 2) return unreadable("no Name");
  if (typeof json.Driver !== "string") return unreadable("no Driver");
  if (!isObject(config)) return unreadable("no Config");
  if (!isObject(state)) return unreadable("no State");
  const labels = config.Labels ?? {};
  if (!isObject(labels)) return unreadable("Labels is not an object");
  const pairs = Object.entries(labels);
  if (!pairs.every((pair) => typeof pair[1] === "string")) {
    return unreadable("a label is not a string");
  }
  return {
    id,
    name: json.Name.replace(/^\//, ""),
    image: typeof config.Image === "string" && config.Image ? config.Image : String(json.Image ?? "no image"),
    driver: json.Driver,
    labels: new Map(pairs),
    dying: ["Dead", "RemovalInProgress"].find((flag) => state[flag] === true),
    source
  };
}
function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
var CONTAINER_ID, LARGEST_CONFIG;
var init_container = __esm({
  "src/engine/container.ts"() {
    "use strict";
    init_files();
    init_printable();
    CONTAINER_ID = /^[0-9a-f]{64}$/;
    LARGEST_CONFIG = 4 << 20;
  }
});

// src/engine/layers.ts
function readLayers(root, dataRoot, id) {
  const directory = `${dataRoot}/overlay2`;
  const mounts = `${dataRoot}/image/overlay2/layerdb/mounts/${id}`;
  const mountId = readLayerId(root, `${mounts}/mount-id`);
  const initId = readLayerId(root, `${mounts}/init-id`);
  const lowerFile = `${directory}/${mountId}/lower`;
  const lower = readRequired(root, lowerFile).split(":");
  if (lower.length > MOST_LAYERS)
    throw new Error(`${lowerFile}: ${lower.length} layers, more than ${MOST_LAYERS}`);
  const image = lower.filter((shortName) => {
    if (!SHORT_NAME.test(shortName))
      throw new Error(`${lowerFile}: ${JSON.stringify(shortName.slice(0, 80))} is no layer`);
    return resolveLayer(root, directory, shortName) !== initId;
  });
  if (image.length === lower.length) throw new Error(`${lowerFile}: the -init layer is not among the layers`);
  if (image.length === 0) throw new Error("its image has no layers");
  return { directory, lower: image };
}
function resolveLayer(root, directory, shortName) {
  const link = `${directory}/${shortName}`;
  let target;
  try {
    target = (0, import_node_fs2.readlinkSync)(root.prefix + link);
  } catch (error) {
    throw new Error(`${link}: ${reason(error)}`);
  }
  const layer = /^\.\.\/([0-9a-f]{64}(?:-init)?)\/diff$/.exec(target)?.[1];
  if (!layer) throw new Error(`${link}: points to ${JSON.stringify(target.slice(0, 100))}, which is no layer`);
  for (const path of [`${directory}/${layer}`, `${directory}/${layer}/diff`]) {
    const stat = statLink(root, path);
    if (!stat) throw new Error(`${path}: no such directory`);
    if (!stat.isDirectory()) throw new Error(`${path}: not a directory`);
  }
  return layer;
}
function readLayerId(root, path) {
  const id = readRequired(root, path);
  if (!LAYER_ID.test(id.replace(/-init$/, ""))) throw new Error(`${path}: not a layer ID`);
  return id;
}
function readRequired(root, path) {
  const text = readText(root, path, 64 << 10);
  if (text === void 0) throw new Error(`${path}: no such file`);
  if (text instanceof Error) throw text;
  return text.trim();
}
var import_node_fs2, LAYER_ID, SHORT_NAME, MOST_LAYERS;
var init_layers = __esm({
  "src/engine/layers.ts"() {
    "use strict";
    import_node_fs2 = __nccwpck_require__(24);
    init_files();
    LAYER_ID = /^[0-9a-f]{64}$/;
    SHORT_NAME = /^l\/[A-Z0-9]{26}$/;
    MOST_LAYERS = 128;
  }
});

// src/engine/extensions.ts
function readExtensions(root, dataRoot) {
  const found = { extensions: [], leftOut: [], messages: [] };
  for (const container of readContainers(root, dataRoot)) {
    if ("problem" in container) {
      found.leftOut.push({ who: "a container", why: `${container.source}: ${container.problem}` });
      continue;
    }
    const flagged = readRank(container.labels);
    if (!flagged) continue;
    const who = describeContainer(container);
    const why = "why" in flagged ? flagged.why : unusable(container.dying, container.driver);
    if (why !== void 0 || "why" in flagged) {
      found.leftOut.push({ who, why });
      continue;
    }
    let layers;
    try {
      layers = readLayers(root, dataRoot, container.id);
    } catch (error) {
      found.leftOut.push({ who, why: error.message });
      continue;
    }
    if (flagged.warning) found.messages.push({ level: "warning", text: `${who}: ${flagged.warning}` });
    found.extensions.push({ container, layers, rank: flagged.rank });
  }
  found.extensions.sort(compareExtensions);
  return found;
}
function unusable(dying, driver) {
  if (dying) return `the engine is removing it (State.${dying})`;
  if (driver !== DRIVER) return `its storage driver is ${JSON.stringify(driver.slice(0, 40))}, not ${DRIVER}`;
  return void 0;
}
function hiddenBelow(root, { layers }, directories) {
  return directories.filter(
    (directory) => layers.lower.some((layer) => {
      const path = `${layers.directory}/${layer}${directory}`;
      try {
        return statLink(root, path)?.isDirectory() && listDirectory(root, path).length > 0;
      } catch {
        return false;
      }
    })
  );
}
var DRIVER;
var init_extensions = __esm({
  "src/engine/extensions.ts"() {
    "use strict";
    init_extension();
    init_files();
    init_container();
    init_layers();
    DRIVER = "overlay2";
  }
});

// src/fstab.ts
function parseFstab(text) {
  const entries = [];
  for (const line2 of text.split("\n")) {
    const fields = line2.trim().split(/[ \t]+/);
    const [source, mountPoint, type, options, , passno] = fields;
    if (!source || source.startsWith("#") || !mountPoint) continue;
    entries.push({
      source: unescapeOctal(source),
      mountPoint: withoutTrailingSlash(unescapeOctal(mountPoint)),
      type: type ?? "auto",
      options: unescapeOctal(options ?? "defaults").split(",").filter(Boolean),
      passno: Number.parseInt(passno ?? "0", 10) || 0
    });
  }
  return entries;
}
function unescapeOctal(text) {
  if (!text.includes("\\")) return text;
  const bytes = Buffer.from(text, "utf8").toString("latin1").replace(/\\([0-3][0-7]{2})/g, (_, digits) => String.fromCharCode(Number.parseInt(digits, 8)));
  return Buffer.from(bytes, "latin1").toString("utf8");
}
function withoutTrailingSlash(path) {
  return path.length > 1 ? path.replace(/\/+$/, "") || "/" : path;
}
var init_fstab = __esm({
  "src/fstab.ts"() {
    "use strict";
  }
});

// src/mountinfo.ts
function parseMountinfo(text) {
  const mounts = [];
  for (const line2 of text.split("\n")) {
    const [left, right] = line2.split(" - ");
    const [, , device, , mountPoint] = left?.split(" ") ?? [];
    const [type, source, superOptions] = right?.split(" ") ?? [];
    if (!device || !mountPoint || !type || source === void 0) continue;
    mounts.push({
      device,
      mountPoint: unescapeOctal(mountPoint),
      type,
      source: unescapeOctal(source),
      superOptions: superOptions?.split(",") ?? []
    });
  }
  return mounts;
}
function mountOf(mounts, path) {
  let best;
  for (const mount of mounts) {
    if (!isBelow(path, mount.mountPoint)) continue;
    if (!best || mount.mountPoint.length >= best.mountPoint.length) best = mount;
  }
  return best;
}
function isBelow(path, directory) {
  return directory === "/" || path === directory || path.startsWith(`${directory}/`);
}
var init_mountinfo = __esm({
  "src/mountinfo.ts"() {
    "use strict";
    init_fstab();
  }
});

// src/plan.ts
function chooseStack(extensions) {
  const stack = extensions.slice(0, MOST_EXTENSIONS);
  const leftOut = extensions.slice(MOST_EXTENSIONS).map(({ container }) => ({
    who: describeContainer(container),
    why: `the kernel stacks ${MOST_EXTENSIONS} extensions at most, and ${extensions.length} are flagged`
  }));
  return { stack, above: stack.filter(({ rank }) => rank.kind !== "overlay").length, leftOut };
}
function chooseState(configured, rootWritable, fstab, isDirectory) {
  if (configured !== "auto") {
    return { state: configured.filter(isDirectory), missing: configured.filter((path) => !isDirectory(path)) };
  }
  if (!rootWritable) return { state: [], missing: [] };
  const mounted = new Set(fstab.map(({ mountPoint }) => mountPoint));
  return { state: AUTOMATIC_STATE.filter((path) => !mounted.has(path) && isDirectory(path)), missing: [] };
}
function isRootWritable(fstabRoot, commandLine, root) {
  if (fstabRoot) return fstabRoot.options.findLast((option) => option === "ro" || option === "rw") !== "ro";
  if (commandLine.root) return commandLine.root === "rw";
  return root?.superOptions.includes("rw") ?? false;
}
var MOST_EXTENSIONS, AUTOMATIC_STATE;
var init_plan = __esm({
  "src/plan.ts"() {
    "use strict";
    init_extension();
    MOST_EXTENSIONS = 499;
    AUTOMATIC_STATE = ["/var", "/home", "/root", "/srv"];
  }
});

// src/configuration.ts
function readConfiguration(root) {
  const configuration = { ...DEFAULTS };
  const messages = [];
  const dropIns = /* @__PURE__ */ new Map();
  for (const directory of DROP_IN_DIRECTORIES) {
    try {
      for (const name of listDirectory(root, directory)) {
        if (name.endsWith(".conf") && !dropIns.has(name)) dropIns.set(name, `${directory}/${name}`);
      }
    } catch (error) {
      messages.push(warning(error.message));
    }
  }
  const read = (path) => {
    const text = readText(root, path, 64 << 10);
    if (text instanceof Error) messages.push(warning(text.message));
    else if (text !== void 0) apply(text, path, configuration, messages);
    return text !== void 0;
  };
  MAIN_FILES.some(read);
  for (const name of [...dropIns.keys()].sort()) read(dropIns.get(name));
  return { configuration, messages };
}
function warning(text) {
  return { level: "warning", text };
}
function apply(text, path, configuration, messages) {
  const lines = text.split("\n");
  let section = "";
  for (let index = 0; index < lines.length; index++) {
    const where = `${path}:${index + 1}`;
    let line2 = lines[index].trim();
    if (!line2 || line2.startsWith("#") || line2.startsWith(";")) continue;
    while (line2.endsWith("\\") && index + 1 < lines.length) {
      const next = lines[++index].trim();
      if (!next.startsWith("#") && !next.startsWith(";")) line2 = `${line2.slice(0, -1)} ${next}`;
    }
    const header = /^\[(.*)\]$/.exec(line2);
    if (header) {
      section = header[1];
      continue;
    }
    const equals = line2.indexOf("=");
    const key = equals < 0 ? line2 : line2.slice(0, equals).trim();
    const setting = SETTINGS[`${section}.${key}`];
    if (equals < 0) messages.push(warning(`${where}: not a setting: ${printable(line2)}`));
    else if (!setting)
      messages.push(warning(`${where}: unknown setting ${printable(`[${section}] ${key}=`)}`));
    else {
      const problem = setting(line2.slice(equals + 1).trim(), configuration);
      if (problem) messages.push(warning(`${where}: ${key}=: ${problem}; ignored`));
    }
  }
}
function directoryPath(value) {
  if (!value.startsWith("/") || /[\x00-\x1f\x7f\\]/.test(value) || value.split("/").includes(".."))
    return null;
  return import_node_path.posix.normalize(value).replace(/(?<=.)\/$/, "");
}
function isApiPath(path) {
  return /^\/(?:proc|sys|dev|run)(?:\/|$)/.test(path);
}
function parseTimeSpan(value) {
  if (!/^(?:\d+\s*[a-z]*\s*)+$/.test(value)) return void 0;
  let seconds = 0;
  for (const [, count, unit] of value.matchAll(/(\d+)\s*([a-z]*)/g)) {
    const scale = UNITS[unit];
    if (scale === void 0) return void 0;
    seconds += Number(count) * scale;
  }
  return seconds >= 1 && seconds <= 86400 ? seconds : void 0;
}
var import_node_path, DEFAULTS, MAIN_FILES, DROP_IN_DIRECTORIES, SETTINGS, UNITS;
var init_configuration = __esm({
  "src/configuration.ts"() {
    "use strict";
    import_node_path = __nccwpck_require__(760);
    init_files();
    init_printable();
    DEFAULTS = { dataRoot: void 0, state: "auto", timeout: 60, container: false };
    MAIN_FILES = ["/etc/hostext.conf", "/run/hostext.conf", "/usr/lib/hostext/hostext.conf"];
    DROP_IN_DIRECTORIES = ["/etc/hostext.conf.d", "/run/hostext.conf.d", "/usr/lib/hostext/hostext.conf.d"];
    SETTINGS = {
      "Engine.DataRoot"(value, configuration) {
        const path = value === "" ? void 0 : directoryPath(value);
        if (path === null) return `${printable(value)} is no absolute path`;
        configuration.dataRoot = path;
      },
      "Root.State"(value, configuration) {
        if (value === "" || value === "auto") configuration.state = "auto";
        else if (value === "none") configuration.state = [];
        else {
          const paths = value.split(/\s+/).map(directoryPath);
          const bad = paths.findIndex((path) => path === null || path === "/" || isApiPath(path));
          if (bad >= 0) return `${printable(value.split(/\s+/)[bad])} cannot be a state directory`;
          configuration.state = [...new Set(paths)].sort();
        }
      },
      "Boot.Timeout"(value, configuration) {
        const seconds = value === "" ? DEFAULTS.timeout : parseTimeSpan(value);
        if (seconds === void 0) return `${printable(value)} is no time span of at least a second`;
        configuration.timeout = seconds;
      },
      "Boot.Container"(value, configuration) {
        if (value === "") configuration.container = DEFAULTS.container;
        else if (/^(?:1|yes|y|true|t|on)$/i.test(value)) configuration.container = true;
        else if (/^(?:0|no|n|false|f|off)$/i.test(value)) configuration.container = false;
        else return `${printable(value)} is no boolean`;
      }
    };
    UNITS = { "": 1, s: 1, sec: 1, second: 1, seconds: 1, m: 60, min: 60, h: 3600 };
  }
});

// src/engine/data-root.ts
function findDataRoots(root, configured) {
  const messages = [];
  const named = configured ?? daemonDataRoot(root, messages);
  const candidates = configured ? [configured] : [.../* @__PURE__ */ new Set([...named ? [named] : [], ...DEFAULT_DATA_ROOTS])];
  const dataRoots = candidates.filter((path) => statLink(root, `${path}/containers`)?.isDirectory());
  if (configured && dataRoots.length === 0) {
    messages.push({ level: "warning", text: `DataRoot=${configured} holds no engine data` });
  }
  return { dataRoots, messages };
}
function daemonDataRoot(root, messages) {
  const text = readText(root, DAEMON_JSON);
  if (text === void 0) return void 0;
  const warn = (problem) => {
    messages.push({ level: "warning", text: `${DAEMON_JSON}: ${problem}; ignored` });
  };
  if (text instanceof Error) return warn(text.message.slice(DAEMON_JSON.length + 2));
  let json;
  try {
    json = JSON.parse(text);
  } catch {
    return warn("not valid JSON");
  }
  const value = typeof json === "object" && json !== null ? json["data-root"] : void 0;
  if (value === void 0 || value === "") return void 0;
  const path = typeof value === "string" ? directoryPath(value) : null;
  return path ?? warn(`data-root is no absolute path: ${printable(String(value))}`);
}
var DAEMON_JSON, DEFAULT_DATA_ROOTS;
var init_data_root = __esm({
  "src/engine/data-root.ts"() {
    "use strict";
    init_configuration();
    init_files();
    init_printable();
    DAEMON_JSON = "/etc/docker/daemon.json";
    DEFAULT_DATA_ROOTS = ["/mnt/data/docker", "/var/lib/docker"];
  }
});

// src/kernel-command-line.ts
function splitCommandLine(text) {
  const words = [];
  for (const [raw] of text.matchAll(/(?:"[^"]*(?:"|$)|[^\s"])+/g)) {
    const equals = raw.startsWith('"') ? -1 : raw.indexOf("=");
    words.push(equals < 0 ? unquote(raw) : raw.slice(0, equals + 1) + unquote(raw.slice(equals + 1)));
  }
  return words;
}
function unquote(text) {
  return text.startsWith('"') ? text.slice(1).replace(/"$/, "") : text;
}
function splitArguments(text) {
  return text.split("\0").slice(1).filter(Boolean);
}
function readCommandLine(words) {
  const result = { target: "default.target" };
  const switches = /* @__PURE__ */ new Map();
  let repair;
  for (const word of words) {
    if (REPAIR_WORDS.has(word)) repair = word;
    if (word in RUN_LEVEL_TARGETS) result.target = RUN_LEVEL_TARGETS[word];
    if (word === "ro" || word === "rw") result.root = word;
    const equals = word.indexOf("=");
    const key = (equals < 0 ? word : word.slice(0, equals)).replaceAll("-", "_");
    const value = equals < 0 ? void 0 : word.slice(equals + 1);
    if (OFF_SWITCHES.includes(key)) {
      if (isFalse(value)) switches.delete(key);
      else switches.set(key, word);
    }
    if (key === "systemd.unit" && value) {
      if (REPAIR_UNITS.has(value)) repair = word;
      else result.target = value;
    }
    if (key === "systemd.run") result.otherTarget = "systemd.run= on the kernel command line";
  }
  const off = [...switches.values()][0] ?? repair;
  if (off !== void 0) result.off = `${off} on the kernel command line`;
  if (!TARGET_NAME.test(result.target)) {
    result.otherTarget = `systemd.unit=${result.target} on the kernel command line is no unit name`;
    result.target = "default.target";
  }
  return result;
}
function isFalse(value) {
  return value !== void 0 && /^(?:0|no|n|false|f|off)$/i.test(value);
}
var OFF_SWITCHES, REPAIR_WORDS, REPAIR_UNITS, RUN_LEVEL_TARGETS, TARGET_NAME;
var init_kernel_command_line = __esm({
  "src/kernel-command-line.ts"() {
    "use strict";
    OFF_SWITCHES = ["balena.nohostext", "mobynit.no_overlays"];
    REPAIR_WORDS = /* @__PURE__ */ new Set(["emergency", "rescue", "single", "s", "S", "1", "-b"]);
    REPAIR_UNITS = /* @__PURE__ */ new Set(["rescue.target", "emergency.target"]);
    RUN_LEVEL_TARGETS = {
      "2": "multi-user.target",
      "3": "multi-user.target",
      "4": "multi-user.target",
      "5": "graphical.target"
    };
    TARGET_NAME = /^[A-Za-z0-9:_.\\@-]{1,240}\.(?:target|service|socket|mount|automount|path|timer|slice|swap)$/;
  }
});

// src/system.ts
function readMachine(root, environment) {
  const inContainer = environment.SYSTEMD_VIRTUALIZATION?.startsWith("container:") || statLink(root, "/run/systemd/container") !== void 0;
  const { configuration, messages } = readConfiguration(root);
  const read = (path) => {
    const text = readText(root, path);
    if (text instanceof Error) messages.push({ level: "warning", text: text.message });
    return typeof text === "string" ? text : "";
  };
  return {
    // In a container /proc/cmdline is the host's; PID 1's arguments take its place, as for systemd.
    commandLine: readCommandLine(
      inContainer ? splitArguments(read("/proc/1/cmdline")) : splitCommandLine(read("/proc/cmdline"))
    ),
    configuration,
    inContainer,
    mounts: parseMountinfo(read("/proc/self/mountinfo")),
    fstab: parseFstab(read("/etc/fstab")),
    softReboot: UNIT_DIRECTORIES.some((directory) => exists(root, `${directory}/soft-reboot.target`)),
    hasNextRoot: exists(root, "/usr/lib/hostext/nextroot"),
    updateWaits: exists(root, "/system-update") || exists(root, "/etc/system-update"),
    messages
  };
}
function exists(root, path) {
  return statLink(root, path) !== void 0;
}
function readEngines(root, configured) {
  const { dataRoots, messages } = findDataRoots(root, configured);
  const result = {
    dataRoot: void 0,
    extensions: [],
    leftOut: [],
    messages
  };
  for (const dataRoot of dataRoots) {
    let found;
    try {
      found = readExtensions(root, dataRoot);
    } catch (error) {
      messages.push({ level: "error", text: `${error.message}; its extensions are left out` });
      continue;
    }
    messages.push(...found.messages);
    result.leftOut.push(...found.leftOut);
    if (result.dataRoot === void 0 && found.extensions.length > 0) {
      result.dataRoot = dataRoot;
      result.extensions = found.extensions;
    } else if (found.extensions.length > 0) {
      const why = `${dataRoot} is the data root of a second engine; ${result.dataRoot} is in use`;
      result.leftOut.push(...found.extensions.map(({ container }) => ({ who: container.name, why })));
    }
  }
  return result;
}
function readPulledIn(root, target) {
  const links = /* @__PURE__ */ new Set();
  for (const directory of UNIT_DIRECTORIES) {
    for (const kind of ["wants", "requires", "upholds"]) {
      for (const name of listDirectory(root, `${directory}/${target}.${kind}`))
        links.add(`${target}.${kind}/${name}`);
    }
  }
  return [...links].sort();
}
var UNIT_DIRECTORIES;
var init_system = __esm({
  "src/system.ts"() {
    "use strict";
    init_configuration();
    init_data_root();
    init_extensions();
    init_files();
    init_fstab();
    init_kernel_command_line();
    init_mountinfo();
    UNIT_DIRECTORIES = [
      "/etc/systemd/system.control",
      "/run/systemd/system.control",
      "/run/systemd/transient",
      "/etc/systemd/system",
      "/run/systemd/system",
      "/usr/local/lib/systemd/system",
      "/usr/lib/systemd/system",
      "/lib/systemd/system"
    ];
  }
});

// src/decide.ts
function decide(root, environment) {
  const machine = readMachine(root, environment);
  const { configuration, fstab, mounts, messages } = machine;
  const obstacle = findObstacle(machine);
  if (obstacle) return { plain: obstacle, messages };
  const engine = readEngines(root, configuration.dataRoot);
  messages.push(...engine.messages);
  const { stack, above, leftOut } = chooseStack(engine.extensions);
  for (const { who, why } of [...engine.leftOut, ...leftOut]) {
    messages.push({ level: "warning", text: `left out: ${who}: ${why}` });
  }
  const { dataRoot } = engine;
  if (dataRoot === void 0) {
    const all = engine.leftOut.length > 0 ? "every extension is left out" : "no container is a host extension";
    return { plain: all, messages };
  }
  const isDirectory = (path) => statLink(root, path)?.isDirectory() ?? false;
  const fstabRoot = fstab.find(({ mountPoint }) => mountPoint === "/");
  const rootMount = mountOf(mounts, "/");
  const { state, missing } = chooseState(
    configuration.state,
    isRootWritable(fstabRoot, machine.commandLine, rootMount),
    fstab,
    isDirectory
  );
  for (const path of missing) {
    messages.push({ level: "warning", text: `State=: ${path} is no directory of the root: not bound` });
  }
  for (const extension of stack) {
    const hidden = hiddenBelow(root, extension, state);
    if (hidden.length > 0) {
      const text = `${describeContainer(extension.container)}: its files below ${hidden.join(", ")} are not visible: that is state of the base root`;
      messages.push({ level: "warning", text });
    }
  }
  return {
    messages,
    plan: {
      extensions: stack,
      above,
      state,
      rootOptions: fstabRoot?.options ?? [],
      checkRoot: (fstabRoot?.passno ?? 0) > 0,
      bindDataRoot: mountOf(mounts, dataRoot)?.mountPoint === "/" && !state.some((path) => isBelow(dataRoot, path)) ? dataRoot : void 0,
      remount: fstab.map(({ mountPoint }) => mountPoint).filter(isRemounted),
      tmp: state.length > 0 && isDirectory("/tmp") && !fstab.some(({ mountPoint }) => mountPoint === "/tmp"),
      target: machine.commandLine.target,
      pulledIn: readPulledIn(root, machine.commandLine.target),
      softReboot: machine.softReboot,
      timeout: configuration.timeout
    }
  };
}
function findObstacle(machine) {
  const { commandLine, configuration, inContainer, mounts, fstab, softReboot, hasNextRoot, updateWaits } = machine;
  if (commandLine.off) return commandLine.off;
  if (inContainer && !configuration.container) return "running in a container, and Container=no";
  if (commandLine.otherTarget) return commandLine.otherTarget;
  if (updateWaits) return "an offline update waits (/system-update)";
  if (mountOf(mounts, "/")?.source === ROOT_SOURCE) return "the root is stacked already";
  if (!softReboot && !hasNextRoot) return "no directory /usr/lib/hostext/nextroot to switch to";
  const foreign = mounts.find(
    ({ mountPoint }) => !isApi(mountPoint) && !fstab.some((entry) => entry.mountPoint === mountPoint)
  );
  if (foreign) return `${foreign.mountPoint} is a file system of its own that fstab does not mount`;
  return void 0;
}
function isApi(path) {
  return path === "/" || /^\/(?:proc|sys|dev|run|tmp)(?:\/|$)/.test(path);
}
function isRemounted(path) {
  return path === "/usr" || /^\/(?:proc|sys|dev|run)(?:\/(?:shm|pts|mqueue|hugepages))?$/.test(path);
}
var ROOT_SOURCE;
var init_decide = __esm({
  "src/decide.ts"() {
    "use strict";
    init_extensions();
    init_extension();
    init_files();
    init_mountinfo();
    init_plan();
    init_system();
    ROOT_SOURCE = "hostext";
  }
});

// src/units/text.ts
function literal(text) {
  return text.replaceAll("%", "%%");
}
function unitName(path, type) {
  const trimmed = path.replace(/^\/+|\/+$/g, "");
  if (!trimmed) return `-.${type}`;
  const bytes = Buffer.from(trimmed, "utf8").toString("latin1");
  const escaped = bytes.replace(
    /^\.|[^A-Za-z0-9:_./]/g,
    (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`
  );
  return `${escaped.replaceAll("/", "-")}.${type}`;
}
function execWord(text) {
  const escaped = literal(text).replaceAll("$", "$$$$");
  if (/^[A-Za-z0-9%$@_+=:,./-]+$/.test(escaped)) return escaped;
  return `"${escaped.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}
var init_text = __esm({
  "src/units/text.ts"() {
    "use strict";
  }
});

// src/units/layer.ts
function layerUnitName(index) {
  return `run-hostext-${index}.mount`;
}
function layerDescription({ container }) {
  return `Host extension ${printable(container.name)} (${printable(container.image)})`;
}
function layerUnit(extension, index, locked) {
  const { container, layers } = extension;
  return {
    path: `normal/${layerUnitName(index)}`,
    text: `# Written by hostext-generator.
[Unit]
Description=${literal(layerDescription(extension))}
Documentation=${DOCUMENTATION}
SourcePath=${literal(container.source)}
${locked ? "" : "DefaultDependencies=no\n"}
[Mount]
What=hostext-${index}
Where=${RUN_DIRECTORY}/${index}
Type=overlay
Options=ro,lowerdir=${RUN_DIRECTORY}/empty:${layers.lower.join(":")}
WorkingDirectory=${literal(layers.directory)}
${MOUNT_ENVIRONMENT}
${locked ? "" : `StandardError=append:${MOUNT_LOG}
`}`
  };
}
var RUN_DIRECTORY, MOUNT_LOG, DOCUMENTATION, MOUNT_ENVIRONMENT;
var init_layer = __esm({
  "src/units/layer.ts"() {
    "use strict";
    init_printable();
    init_text();
    RUN_DIRECTORY = "/run/hostext";
    MOUNT_LOG = `${RUN_DIRECTORY}/mount.log`;
    DOCUMENTATION = "man:hostext(7)";
    MOUNT_ENVIRONMENT = "Environment=LIBMOUNT_FORCE_MOUNT2=always";
  }
});

// src/command.ts
var command_exports = {};
__export(command_exports, {
  command: () => command
});
function command(words) {
  const { _: names2, ...options } = (0, import_minimist.default)(words, { boolean: ["help", "version"], alias: { h: "help" } });
  const unknown = Object.keys(options).find((name2) => !["help", "h", "version"].includes(name2));
  const name = options.help ? "help" : options.version ? "version" : names2[0] ?? "help";
  const run = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : void 0;
  if (!run || unknown !== void 0 || names2.length > 1) {
    process.stderr.write(
      `hostext: ${unknown === void 0 ? `no command ${words.join(" ")}` : `no option ${unknown}`}
${USAGE}`
    );
    return 2;
  }
  return run();
}
var import_minimist, USAGE, COMMANDS;
var init_command = __esm({
  "src/command.ts"() {
    "use strict";
    import_minimist = __toESM(__nccwpck_require__(994), 1);
    init_decide();
    init_extension();
    init_files();
    init_layer();
    USAGE = `hostext COMMAND

Commands:
  plan      what the next boot would stack, and what it would leave out and why
  status    what this boot decided
  help      this text
  version   the version

As a generator: hostext NORMAL [EARLY LATE], three absolute directories; systemd calls it so.
HOSTEXT_ROOT=DIR looks at the system below DIR.
`;
    COMMANDS = {
      help() {
        process.stdout.write(USAGE);
        return 0;
      },
      version() {
        process.stdout.write(`hostext ${"0.1.0"}
`);
        return 0;
      },
      plan() {
        const decision = decide(inputRoot(process.env), process.env);
        for (const { level, text } of decision.messages) process.stdout.write(`${level}: ${text}
`);
        if ("plain" in decision) {
          process.stdout.write(`plain root: ${decision.plain}
`);
          return 0;
        }
        const { extensions, above, state } = decision.plan;
        const lines = extensions.map(({ container, rank, layers }, index) => {
          const rule = rank.kind === "override" ? `override=${rank.priority}` : rank.kind;
          return `${String(index).padStart(4)}  ${describeContainer(container)}, ${rule}, layers: ${layers.lower.length}
`;
        });
        process.stdout.write(`${lines.slice(0, above).join("")}   /  the root
${lines.slice(above).join("")}`);
        process.stdout.write(`writable: ${state.join(" ") || "nothing"}
`);
        return 0;
      },
      status() {
        const text = readText(inputRoot(process.env), `${RUN_DIRECTORY}/decision`);
        if (text instanceof Error) throw text;
        process.stdout.write(text ?? "hostext has not run in this boot\n");
        return 0;
      }
    };
  }
});

// src/generator.ts
var import_node_fs4 = __nccwpck_require__(24);
var import_node_path2 = __nccwpck_require__(760);
init_decide();
init_files();

// src/log.ts
var import_node_fs3 = __nccwpck_require__(24);
var KERNEL_LEVELS = { error: 3, warning: 4, notice: 5, info: 6 };
function log({ level, text }) {
  if (startedBySystemd()) {
    try {
      (0, import_node_fs3.writeFileSync)("/dev/kmsg", `<${KERNEL_LEVELS[level]}>hostext: ${text}
`, { flag: "a" });
      return;
    } catch {
    }
  }
  try {
    process.stderr.write(`hostext: ${level === "info" || level === "notice" ? "" : `${level}: `}${text}
`);
  } catch {
  }
}
function startedBySystemd() {
  return process.env.HOSTEXT_LOG === "kmsg" || process.env.SYSTEMD_EXEC_PID === String(process.pid);
}

// src/generator.ts
init_printable();

// src/units/first-pass.ts
init_layer();
init_text();
function nextRoot(softReboot) {
  return softReboot ? "/run/nextroot" : "/usr/lib/hostext/nextroot";
}
function firstPassUnits(plan, normalDirectory) {
  const root = nextRoot(plan.softReboot);
  const rootUnit = unitName(root, "mount");
  const layers = plan.extensions.map((_, index) => layerUnitName(index));
  const binds = [
    ...plan.state.map((path) => bindUnit(path, root, "bind", "State of the base root")),
    ...plan.bindDataRoot ? [bindUnit(plan.bindDataRoot, root, "bind,ro", "The engine's data, read-only")] : []
  ];
  const mounts = [rootUnit, ...binds.map(({ name }) => name)].join(" ");
  const check = plan.checkRoot && plan.state.length > 0;
  return [
    ...plan.extensions.map((extension, index) => layerUnit(extension, index, false)),
    {
      path: `normal/${rootUnit}`,
      text: `# Written by hostext-generator.
[Unit]
Description=Root file system with ${layers.length} host extension${layers.length === 1 ? "" : "s"}
Documentation=${DOCUMENTATION}
DefaultDependencies=no
Wants=${layers.join(" ")}
After=${layers.join(" ")}
${check ? "# The locked system remounts the state writable; the disk is checked while it is not.\nWants=systemd-fsck-root.service\nAfter=systemd-fsck-root.service\n" : ""}
[Mount]
What=hostext
Where=${root}
Type=overlay
Options=ro,lowerdir=${lowerdir(plan)}
WorkingDirectory=${RUN_DIRECTORY}
${MOUNT_ENVIRONMENT}
StandardError=append:${MOUNT_LOG}
`
    },
    ...binds.map(({ file }) => file),
    {
      path: "normal/hostext-switch.service",
      text: `# Written by hostext-generator.
[Unit]
Description=Switch to the root with host extensions
Documentation=${DOCUMENTATION}
DefaultDependencies=no
RefuseManualStart=yes
Requires=${mounts}
After=${mounts}

[Service]
Type=oneshot
ExecStart=/usr/lib/hostext/switch ${plan.softReboot ? "soft-reboot" : "switch-root"} ${root}
StandardOutput=null
StandardError=append:${MOUNT_LOG}
`
    },
    {
      path: "normal/hostext.target",
      text: `# Written by hostext-generator.
[Unit]
Description=Host extensions over the root
Documentation=${DOCUMENTATION}
DefaultDependencies=no
AllowIsolate=yes
RefuseManualStart=yes
Requires=hostext-switch.service
After=hostext-switch.service
OnFailure=hostext-fallback.service
JobTimeoutSec=${plan.timeout}
`
    },
    // What the target's links pull in belongs to the boot after the switch.
    ...plan.pulledIn.map((path) => ({ path: `early/${path}`, link: "/dev/null" })),
    // Last: from here on this boot starts hostext.target.
    { path: `early/${plan.target}`, link: `${normalDirectory}/hostext.target` }
  ];
}
function lowerdir({ extensions, above }) {
  const numbers = extensions.map((_, index) => String(index));
  return [...numbers.slice(0, above), "/", ...numbers.slice(above)].join(":");
}
function bindUnit(path, root, options, description) {
  const name = unitName(`${root}${path}`, "mount");
  return {
    name,
    file: {
      path: `normal/${name}`,
      text: `# Written by hostext-generator.
[Unit]
Description=${literal(`${description}: ${path}`)}
Documentation=${DOCUMENTATION}
DefaultDependencies=no

[Mount]
What=${literal(path)}
Where=${literal(`${root}${path}`)}
Type=none
Options=${options}
StandardError=append:${MOUNT_LOG}
`
    }
  };
}

// src/generator.ts
init_layer();

// src/units/locked.ts
init_printable();
init_layer();
init_text();
var NAMED = 8;
function lockedUnits(plan) {
  const layers = plan.extensions.map((_, index) => layerUnitName(index));
  const files = [
    ...plan.extensions.map((extension, index) => layerUnit(extension, index, true)),
    {
      path: "normal/hostext.target",
      text: `# Written by hostext-generator.
[Unit]
Description=Host extensions: ${literal(names(plan))}
Documentation=${DOCUMENTATION}
Wants=${layers.join(" ")}
After=${layers.join(" ")}
`
    },
    { path: "normal/local-fs.target.wants/hostext.target", link: "../hostext.target" },
    dropIn(
      "-.mount",
      `[Unit]
Description=Root file system, locked by hostext (read-only until shutdown), with ${literal(names(plan))}
Documentation=${DOCUMENTATION}
`
    ),
    remountDropIn(plan),
    dropIn(
      "systemd-fsck-root.service",
      `[Unit]
# An overlay has no device to check; the base root was checked before the switch.
ConditionPathExists=!/run/hostext
`
    ),
    growDropIn(plan),
    ...plan.state.map(stateUnit)
  ];
  if (plan.state.length > 0) {
    files.push({
      path: "normal/local-fs.target.wants/systemd-remount-fs.service",
      link: "/usr/lib/systemd/system/systemd-remount-fs.service"
    });
  }
  if (plan.tmp) files.push(...tmpUnits());
  return files;
}
function names({ extensions }) {
  const list = extensions.slice(0, NAMED).map(({ container }) => printable(container.name, 60));
  const more = extensions.length - list.length;
  return `${list.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}
function dropIn(unit, text) {
  return { path: `normal/${unit}.d/50-hostext.conf`, text: `# Written by hostext-generator.
${text}` };
}
function stateUnit(path) {
  return {
    path: `normal/${unitName(path, "mount")}`,
    text: `# Written by hostext-generator.
[Unit]
Description=${literal(`State of the base root: ${path}`)}
Documentation=${DOCUMENTATION}
# Stays mounted until the last step of the shutdown, which remounts it read-only: the overlay holds the
# file system, so that unmounting it earlier would leave it dirty.
DefaultDependencies=no

[Mount]
What=${literal(path)}
Where=${literal(path)}
Type=none
Options=bind
`
  };
}
function remountDropIn({ state, rootOptions, remount }) {
  const options = [
    "remount",
    ...rootOptions.filter((option) => option !== "ro" && option !== "rw"),
    "rw"
  ].join(",");
  const commands = [
    ...state.map((path) => `ExecStart=/bin/mount -o ${execWord(options)} ${execWord(path)}`),
    ...remount.map((path) => `ExecStart=/bin/mount -o remount ${execWord(path)}`)
  ];
  return dropIn(
    "systemd-remount-fs.service",
    commands.length > 0 ? `[Unit]
Description=Remount State and Kernel File Systems
${state.length > 0 ? `After=${state.map((path) => unitName(path, "mount")).join(" ")}
` : ""}
[Service]
ExecStart=
${commands.join("\n")}
` : `[Unit]
# The root is locked, and fstab has nothing else to remount.
ConditionPathExists=!/run/hostext
`
  );
}
function growDropIn({ state }) {
  return dropIn(
    "systemd-growfs-root.service",
    state[0] !== void 0 ? `[Service]
ExecStart=
ExecStart=/usr/lib/systemd/systemd-growfs ${execWord(state[0])}
` : `[Unit]
# Nothing of the file system is mounted writable.
ConditionPathExists=!/run/hostext
`
  );
}
function tmpUnits() {
  return [
    {
      path: "late/tmp.mount",
      text: `# Written by hostext-generator: /tmp was on the root, which is locked now.
[Unit]
Description=Temporary Directory /tmp
Documentation=${DOCUMENTATION}
ConditionPathIsSymbolicLink=!/tmp
DefaultDependencies=no
Conflicts=umount.target
Before=local-fs.target umount.target
After=swap.target

[Mount]
What=tmpfs
Where=/tmp
Type=tmpfs
Options=mode=1777,strictatime,nosuid,nodev,size=50%%,nr_inodes=1m
`
    },
    { path: "normal/local-fs.target.wants/tmp.mount", link: "../../generator.late/tmp.mount" }
  ];
}

// src/generator.ts
function generate(environment, normal, early = normal, late = normal) {
  const root = inputRoot(environment);
  if (statLink(root, `${RUN_DIRECTORY}/decision`)) return 0;
  const decision = decide(root, environment);
  const messages = [...decision.messages, summary(decision)];
  for (const message of messages) log(message);
  const run = root.prefix + RUN_DIRECTORY;
  (0, import_node_fs4.mkdirSync)(run, { recursive: true });
  const directories = { normal, early, late };
  const first = "plan" in decision ? setAside(decision.plan, run, normal) : [];
  (0, import_node_fs4.writeFileSync)(`${run}/decision`, messages.map(line).join(""));
  writeFiles(first, directories);
  return 0;
}
function setAside(plan, run, normal) {
  for (const name of ["empty", ...plan.extensions.keys()])
    (0, import_node_fs4.mkdirSync)(`${run}/${name}`, { recursive: true, mode: 493 });
  (0, import_node_fs4.writeFileSync)(`${run}/target`, `${plan.target}
`);
  const first = firstPassUnits(plan, normal);
  for (const [name, files] of Object.entries({ first, locked: lockedUnits(plan) })) {
    const set = `${run}/${name}`;
    (0, import_node_fs4.rmSync)(set, { recursive: true, force: true });
    writeFiles(files, { normal: `${set}/normal`, early: `${set}/early`, late: `${set}/late` });
  }
  return first;
}
function writeFiles(files, directories) {
  const made = /* @__PURE__ */ new Set();
  for (const file of files) {
    const slash = file.path.indexOf("/");
    const path = `${directories[file.path.slice(0, slash)]}${file.path.slice(slash)}`;
    const directory = (0, import_node_path2.dirname)(path);
    if (!made.has(directory)) (0, import_node_fs4.mkdirSync)(directory, { recursive: true });
    made.add(directory);
    if ("link" in file) (0, import_node_fs4.symlinkSync)(file.link, path);
    else (0, import_node_fs4.writeFileSync)(path, file.text, { flag: "wx" });
  }
}
function summary(decision) {
  if ("plain" in decision) return { level: "notice", text: `plain root: ${decision.plain}` };
  const { extensions, state } = decision.plan;
  const names2 = extensions.map(({ container }) => printable(container.name, 60)).join(", ");
  const where = state.length > 0 ? `; writable: ${state.join(", ")}` : "";
  const count = `${extensions.length} host extension${extensions.length === 1 ? "" : "s"}`;
  return { level: "notice", text: `stacking ${count} over the root: ${printable(names2, 700)}${where}` };
}
var MARKS = { error: "error: ", warning: "warning: ", notice: "", info: "" };
function line({ level, text }) {
  return `${MARKS[level]}${text}
`;
}

// src/hostext.ts
async function main(words) {
  if ((words.length === 1 || words.length === 3) && words.every((word) => word.startsWith("/"))) {
    return generate(process.env, ...words);
  }
  const { command: command2 } = await Promise.resolve().then(() => (init_command(), command_exports));
  return command2(words);
}
main(process.argv.slice(2)).then(
  (status) => {
    process.exitCode = status;
  },
  (error) => {
    log({ level: "error", text: error.message });
    process.exitCode = 1;
  }
);

module.exports = __webpack_exports__;
/******/ })()
;