"""fdsr in ComfyUI: its networks as upscale models, and the node *Restore Faces*.

ComfyUI imports this folder from ``custom_nodes``. A problem with the installation is
one line in the log: without fdsr the node is missing, and without a suitable spandrel
*Load Upscale Model* does not accept fdsr's files.
"""

import logging

NODE_CLASS_MAPPINGS = {}
NODE_DISPLAY_NAME_MAPPINGS = {}

try:
    from .restore_faces import RestoreFaces
    NODE_CLASS_MAPPINGS['FdsrRestoreFaces'] = RestoreFaces
    NODE_DISPLAY_NAME_MAPPINGS['FdsrRestoreFaces'] = 'Restore Faces (fdsr)'
except ImportError as error:
    logging.error('fdsr: the node "Restore Faces (fdsr)" is not available, because '
                  'fdsr cannot be imported (%s). Install it with the Python that runs '
                  'ComfyUI: python -m pip install /path/to/fdsr', error)
else:
    try:
        from fdsr.interchange.spandrel import install
        install()
    except ImportError as error:
        logging.error('fdsr: "Load Upscale Model" does not accept fdsr\'s files. %s',
                      error)

__all__ = ['NODE_CLASS_MAPPINGS', 'NODE_DISPLAY_NAME_MAPPINGS']
