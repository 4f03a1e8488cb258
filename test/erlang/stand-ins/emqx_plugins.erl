%% Stands in for EMQX's: the plugin's configuration, in the shape of the release.
-module(emqx_plugins).

-export([get_config/1]).

get_config(<<"emqx_offline_message_plugin-", _/binary>>) ->
    Configuration = emqx_stand_ins:get(configuration, #{}),
    case emqx_release:version() of
        "5.8" ++ _ -> {ok, Configuration};
        _ -> Configuration
    end.
