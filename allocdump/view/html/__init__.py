# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pages to mail: one HTML file each, that needs no network and asks for none.

``page`` renders any document: figures, facts, text, tables that sort and search, zoomable
treemaps.
"""
