// Writes what this render machine has - After Effects, language, fonts, effects - as JSON beside this script.
// Run it in After Effects with File > Scripts > Run Script File. ExtendScript (ES3); it shows no dialog.
(function () {
    var escapes = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", "\"": "\\\"", "\\": "\\\\"};

    function quoted(text) {
        var out = "";
        var i, letter, code;
        for (i = 0; i < text.length; i += 1) {
            letter = text.charAt(i);
            code = text.charCodeAt(i);
            if (escapes[letter]) {
                out += escapes[letter];
            } else if (code < 32 || code > 126) {
                out += "\\u" + ("0000" + code.toString(16)).slice(-4);
            } else {
                out += letter;
            }
        }
        return "\"" + out + "\"";
    }

    function list(values) {
        var out = [];
        var i;
        for (i = 0; i < values.length; i += 1) {
            out[i] = quoted(String(values[i]));
        }
        return "[" + out.join(",") + "]";
    }

    // Null where After Effects cannot say: app.fonts exists since version 24.
    function fonts() {
        var found = [];
        var i, k, family;
        if (!app.fonts || !app.fonts.allFonts) {
            return "null";
        }
        for (i = 0; i < app.fonts.allFonts.length; i += 1) {
            family = app.fonts.allFonts[i];
            for (k = 0; k < family.length; k += 1) {
                if (!family[k].isSubstitute) {
                    found[found.length] = family[k].postScriptName;
                }
            }
        }
        return list(found);
    }

    function effects() {
        var found = [];
        var i;
        for (i = 0; i < app.effects.length; i += 1) {
            found[i] = app.effects[i].matchName;
        }
        return list(found);
    }

    var file = new File(File($.fileName).path + "/render_machine.json");
    file.encoding = "UTF-8";
    file.lineFeed = "Unix";
    file.open("w");
    file.writeln(
        "{\"format\":\"crown-render-machine/1\",\"version\":" + quoted(app.version) + ",\"language\":" +
        quoted(app.isoLanguage) + ",\"system\":" + quoted($.os) + ",\"collected_at\":" +
        quoted(String(new Date().getTime())) + ",\"effects\":" + effects() + ",\"fonts\":" + fonts() + "}"
    );
    file.close();
    return file.fsName;
}());
