// The part of After Effects' object model that our scripts use, over a project given as JSON, so that a script can be
// run without After Effects. What ES3 does not know is taken away before the script runs.
var runScript;
(function () {
    "use strict";
    const given = JSON.parse(MODEL);
    const stringify = JSON.stringify;
    const decode = decodeURIComponent;
    const state = { dialogs: [], saved: null, opened: null, written: {}, undo: 0, suppressed: 0 };
    // Called while the script runs, so that it may not use what is taken away.
    const has = (list, value) => {
        for (const one of list) { if (one === value) { return true; } }
        return false;
    };
    const present = given.files.slice();

    function File(uri) {
        if (!(this instanceof File)) { return new File(uri); }
        const path = decode(String(uri));
        this.path = path.slice(0, path.lastIndexOf("/"));
        this.fsName = given.windows ? windowsPath(path) : path;
        this.encoding = "";
        this.lineFeed = "";
    }
    function windowsPath(path) {
        const drive = /^\/([a-z])\//i.exec(path);
        const full = drive ? drive[1].toUpperCase() + ":/" + path.slice(3) : path;
        return full.split("/").join("\\");
    }
    Object.defineProperty(File.prototype, "exists", { get() { return has(present, this.fsName); } });
    File.prototype.open = function () { state.written[this.fsName] = ""; return true; };
    File.prototype.writeln = function (text) { state.written[this.fsName] += text + "\n"; return true; };
    File.prototype.close = function () { return true; };

    function FileSource(file) { this.file = file; }
    function ImportOptions(file) { this.file = file; }
    function CompItem(facts) {
        this.id = facts.id;
        this.name = facts.name;
        this.own = facts.layers.map((one, at) => new Layer(one, at + 1));
    }
    Object.defineProperty(CompItem.prototype, "numLayers", { get() { return this.own.length; } });
    CompItem.prototype.layer = function (index) { return this.own[index - 1]; };
    function FootageItem(facts) {
        this.id = facts.id;
        this.name = facts.name;
        this.mainSource = facts.file === null ? null : sourceOf(facts.file);
    }
    function sourceOf(fsName) {
        const file = new File("");
        file.fsName = fsName;
        return new FileSource(file);
    }
    Object.defineProperty(FootageItem.prototype, "footageMissing", {
        get() { return this.mainSource !== null && !this.mainSource.file.exists; },
    });
    FootageItem.prototype.replace = function (file) { this.mainSource = new FileSource(file); };

    function Layer(facts, index) {
        this.id = facts.id;
        this.name = facts.name;
        this.index = index;
        this.sourceId = facts.source;
        this.text = facts.text === null ? null : new TextProperty(facts);
    }
    Layer.prototype.property = function (name) {
        const text = this.text;
        if (name !== "ADBE Text Properties" || text === null) { return null; }
        return { property: (inner) => (inner === "ADBE Text Document" ? text : null) };
    };
    Layer.prototype.replaceSource = function (item) { this.sourceId = item.id; };
    function TextProperty(facts) {
        this.numKeys = facts.keys;
        this.expression = facts.expression;
        this.expressionEnabled = facts.expression !== "";
        this.own = facts.text;
    }
    Object.defineProperty(TextProperty.prototype, "value", { get() { return { text: this.own }; } });
    TextProperty.prototype.setValue = function (value) { this.own = String(value.text); };

    const items = [...given.comps.map((one) => new CompItem(one)), ...given.footage.map((one) => new FootageItem(one))];
    const project = {
        get numItems() { return items.length; },
        item: (index) => items[index - 1],
        importFile(options) {
            if (!options.file.exists) { throw new Error("no such file"); }
            let id = 1;
            for (const one of items) { id = Math.max(id, one.id + 1); }
            const item = new FootageItem({ id, name: options.file.fsName, file: options.file.fsName });
            items.push(item);
            return item;
        },
        save(file) { state.saved = file.fsName; },
    };
    const dialog = (name) => () => { state.dialogs.push(name); throw new Error("a dialog: " + name); };
    const world = {
        File, FileSource, ImportOptions, CompItem, FootageItem,
        alert: dialog("alert"), confirm: dialog("confirm"), prompt: dialog("prompt"), Window: dialog("Window"),
        $: { os: given.machine.system, fileName: given.machine.script },
        app: {
            project, exitCode: 0, version: given.machine.version, isoLanguage: given.machine.language,
            effects: given.machine.effects.map((name) => ({ matchName: name })),
            fonts: given.machine.fonts === null ? undefined : {
                allFonts: given.machine.fonts.map((family) => family.map(
                    ([postScriptName, isSubstitute]) => ({ postScriptName, isSubstitute }))),
            },
            open(file) { state.opened = file.fsName; },
            beginUndoGroup() { state.undo += 1; },
            endUndoGroup() { state.undo -= 1; },
            beginSuppressDialogs() { state.suppressed += 1; },
            endSuppressDialogs() { state.suppressed -= 1; },
        },
    };
    const end = (result) => stringify({
        ...state, result, exitCode: world.app.exitCode,
        texts: items.filter((one) => one instanceof CompItem).flatMap((comp) => comp.own)
            .filter((one) => one.text).map((one) => [one.id, one.text.own]),
        sources: items.filter((one) => one instanceof CompItem).flatMap((comp) => comp.own)
            .map((one) => [one.id, one.sourceId]),
        files: items.filter((one) => one instanceof FootageItem && one.mainSource)
            .map((one) => [one.id, one.mainSource.file.fsName]),
    });
    const evaluate = eval;

    // The constructors and functions of ES3; all that V8 knows beyond them goes.
    const globals = "Array Boolean Date Error EvalError Function Infinity Math NaN Number Object RangeError " +
        "ReferenceError RegExp String SyntaxError TypeError URIError decodeURI decodeURIComponent encodeURI " +
        "encodeURIComponent escape eval globalThis isFinite isNaN parseFloat parseInt undefined unescape runScript";
    const methods = {
        Object: "constructor hasOwnProperty isPrototypeOf propertyIsEnumerable toLocaleString toString valueOf",
        Function: "apply call constructor length name toString arguments caller",
        Array: "concat constructor join length pop push reverse shift slice sort splice toLocaleString toString unshift",
        Number: "constructor toExponential toFixed toLocaleString toPrecision toString valueOf",
        RegExp: "compile constructor exec flags global ignoreCase multiline source test toString",
        String: "charAt charCodeAt concat constructor indexOf lastIndexOf length localeCompare match replace search " +
            "slice split substr substring toLocaleLowerCase toLocaleUpperCase toLowerCase toString toUpperCase valueOf",
    };
    runScript = function (source) {
        const realm = globalThis;
        const names = Object.getOwnPropertyNames;
        const allowed = {};
        for (const [name, own] of Object.entries(methods)) { allowed[name] = own.split(" "); }
        const removable = (owner, name) => Object.getOwnPropertyDescriptor(owner, name).configurable;
        const taken = names(realm).filter((name) => !has(globals.split(" "), name) && removable(realm, name));
        const less = [];
        less.push([Date, "now"], [Date.prototype, "toISOString"], [Date.prototype, "toJSON"]);
        for (const name of Object.keys(allowed)) {
            const prototype = realm[name].prototype;
            for (const one of names(prototype)) { if (!has(allowed[name], one) && removable(prototype, one)) { less.push([prototype, one]); } }
            for (const one of names(realm[name])) {
                const es3 = "length name prototype fromCharCode MAX_VALUE MIN_VALUE NaN NEGATIVE_INFINITY " +
                    "POSITIVE_INFINITY";
                if (!has(es3.split(" "), one) && removable(realm[name], one)) { less.push([realm[name], one]); }
            }
        }
        const kept = less.map(([owner, name]) => [owner, name, Object.getOwnPropertyDescriptor(owner, name)]);
        const keptGlobals = taken.map((name) => [name, Object.getOwnPropertyDescriptor(realm, name)]);
        const define = Object.defineProperty;
        const count = less.length;
        for (let at = 0; at < count; at += 1) { delete kept[at][0][kept[at][1]]; }
        for (let at = 0; at < keptGlobals.length; at += 1) { delete realm[keptGlobals[at][0]]; }
        for (const name in world) { realm[name] = world[name]; }
        let result;
        try {
            result = String(evaluate(source));
        } finally {
            for (let at = 0; at < count; at += 1) { define(kept[at][0], kept[at][1], kept[at][2]); }
            for (let at = 0; at < keptGlobals.length; at += 1) {
                define(realm, keptGlobals[at][0], keptGlobals[at][1]);
            }
        }
        return end(result);
    };
}());
