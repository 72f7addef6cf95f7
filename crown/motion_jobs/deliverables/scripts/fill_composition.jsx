// Fills a template: texts, pictures of layers, files of footage items. ExtendScript (ES3); it shows no dialog.
// First everything is looked up; when something is not there, nothing is changed and nothing is saved.
(function () {
    var job = /*JOB*/{};
    var problems = [];
    var listed = [];
    var done = 0;

    function note(list, text) {
        list[list.length] = text;
    }

    function itemById(id) {
        var i, item;
        for (i = 1; i <= app.project.numItems; i += 1) {
            item = app.project.item(i);
            if (item.id === id) {
                return item;
            }
        }
        return null;
    }

    function fileAt(uri) {
        var file = new File(uri);
        if (!file.exists) {
            throw new Error("The file is not there: " + file.fsName);
        }
        return file;
    }

    // By index, when the layer there has the name; otherwise by name, when it is unique. No name: by index alone.
    function layerOf(slot) {
        var comp = itemById(slot.comp);
        var found = null;
        var count = 0;
        var i, layer;
        if (!(comp instanceof CompItem)) {
            throw new Error("There is no composition with the id " + slot.comp + ".");
        }
        if (slot.index <= comp.numLayers) {
            layer = comp.layer(slot.index);
            if (slot.name === "" || layer.name === slot.name) {
                return layer;
            }
        }
        for (i = 1; i <= comp.numLayers; i += 1) {
            if (comp.layer(i).name === slot.name) {
                found = comp.layer(i);
                count += 1;
            }
        }
        if (count !== 1) {
            throw new Error("The composition " + comp.name + " has " + count + " layers named " + slot.name + ".");
        }
        return found;
    }

    // By match names, which are the same in every language of After Effects.
    function textOf(layer) {
        var group = layer.property("ADBE Text Properties");
        var text = group ? group.property("ADBE Text Document") : null;
        if (!text) {
            throw new Error("The layer " + layer.name + " is no text layer.");
        }
        if (text.numKeys > 0) {
            throw new Error("The text of the layer " + layer.name + " has keyframes.");
        }
        if (text.expressionEnabled && text.expression !== "") {
            throw new Error("The text of the layer " + layer.name + " comes from an expression.");
        }
        return text;
    }

    function setText(slot, property) {
        var value = property.value;
        value.text = slot.text;
        property.setValue(value);
        if (property.value.text !== slot.text) {
            throw new Error("The text of the layer " + slot.name + " reads differently after it was set.");
        }
    }

    function lookedUp(slots, look) {
        var found = [];
        var i;
        for (i = 0; i < slots.length; i += 1) {
            try {
                found[i] = look(slots[i]);
            } catch (error) {
                note(problems, error.message);
            }
        }
        return found;
    }

    function listFootage() {
        var i, item, source;
        for (i = 1; i <= app.project.numItems; i += 1) {
            item = app.project.item(i);
            source = item instanceof FootageItem ? item.mainSource : null;
            if (source && source instanceof FileSource) {
                note(listed, (item.footageMissing ? "missing " : "present ") + source.file.fsName);
                if (item.footageMissing) {
                    note(problems, "The footage " + item.name + " is missing: " + source.file.fsName);
                }
            }
        }
    }

    function fill() {
        var texts = lookedUp(job.texts, function (slot) {
            return textOf(layerOf(slot));
        });
        var layers = lookedUp(job.pictures, function (slot) {
            return layerOf(slot);
        });
        var pictures = lookedUp(job.pictures, function (slot) {
            return fileAt(slot.file);
        });
        var items = lookedUp(job.footage, function (slot) {
            var item = itemById(slot.item);
            if (!(item instanceof FootageItem)) {
                throw new Error("There is no footage with the id " + slot.item + ".");
            }
            return item;
        });
        var files = lookedUp(job.footage, function (slot) {
            return fileAt(slot.file);
        });
        var i;
        if (problems.length > 0) {
            return;
        }
        for (i = 0; i < texts.length; i += 1) {
            setText(job.texts[i], texts[i]);
            done += 1;
        }
        for (i = 0; i < items.length; i += 1) {
            items[i].replace(files[i]);
            done += 1;
        }
        for (i = 0; i < layers.length; i += 1) {
            layers[i].replaceSource(app.project.importFile(new ImportOptions(pictures[i])), true);
            done += 1;
        }
        listFootage();
    }

    function oneLine(text) {
        return text.replace(/[\r\n]+/g, " ");
    }

    function report() {
        var file = new File(job.report);
        var i;
        file.encoding = "UTF-8";
        file.lineFeed = "Unix";
        file.open("w");
        file.writeln("done " + done);
        for (i = 0; i < problems.length; i += 1) {
            file.writeln("problem " + oneLine(problems[i]));
        }
        for (i = 0; i < listed.length; i += 1) {
            file.writeln(oneLine(listed[i]));
        }
        file.close();
    }

    app.beginSuppressDialogs();
    try {
        if (job.project) {
            app.open(fileAt(job.project));
        }
        app.beginUndoGroup("Fill " + job.id);
        try {
            fill();
        } finally {
            app.endUndoGroup();
        }
        if (job.saveAs && problems.length === 0) {
            app.project.save(new File(job.saveAs));
        }
    } catch (error) {
        note(problems, error.message);
    }
    try {
        if (job.report) {
            report();
        }
    } catch (unwritten) {
        note(problems, unwritten.message);
    }
    app.endSuppressDialogs(false);
    if (problems.length > 0) {
        app.exitCode = 1;
    }
    return done + " done, " + problems.length + " problems" + (problems.length ? ": " + problems.join(" ") : "");
}());
