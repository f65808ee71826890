# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pages to mail: one HTML file each, that needs no network and asks for none.

``page`` is the frame, which knows nothing of kernels: headings, facts, text, tables that
sort and search, zoomable treemaps. The other files fill it, one for each command.
"""
